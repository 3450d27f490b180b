"""What most of these tests begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from commands import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A project of its own, with a home of its own; what runs from there ends with the test."""
    made = Lab()
    yield made
    made.close()
