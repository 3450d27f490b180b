from __future__ import annotations

from typing import Any

import pytest

from xpm.core.scalars import whole

np: Any = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (3, 3),
        (np.int16(3), 3),
        (True, None),
        (np.bool_(True), None),
        (3.0, None),
        (np.float64(3), None),
        ("3", None),
        (np.array([1, 2]), None),
        (np.array(1.5), None),
    ],
)
def test_whole_numbers_whosever_they_are(given: object, number: int | None) -> None:
    assert whole(given) == number
