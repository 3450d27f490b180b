"""Versions of what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from xpm.extras import DISTRIBUTION


def installed(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def own() -> str:
    """The version of xpm."""
    return installed(DISTRIBUTION) or "0+unknown"
