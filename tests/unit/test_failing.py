"""What a job's process says of its failure."""

from __future__ import annotations

import errno
import json

import pytest

from xpm_workers.failures import names


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ConnectionResetError(), {"ConnectionResetError", "ConnectionError", "OSError", "Exception"}),
        (
            json.JSONDecodeError("", "", 0),
            {"json.decoder.JSONDecodeError", "json.JSONDecodeError", "ValueError"},
        ),
        (OSError(errno.ENOSPC, "full"), {"OSError", "disk"}),
        (OSError(errno.EDQUOT, "quota"), {"disk"}),
    ],
)
def test_an_exception_is_known_by_all_the_names_that_people_write(error: Exception, found: set[str]) -> None:
    assert found <= set(names(error))
    assert "disk" in found or "disk" not in names(error)
