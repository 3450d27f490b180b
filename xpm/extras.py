"""How to install what xpm can do without: the line to type, for this installation."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "xpm-experiments"


def install_line(extra: str) -> str:
    """The command that installs an extra into the environment that runs now, from where xpm came."""
    return line(extra, _told(), pip=find_spec("pip") is not None)


def line(extra: str, told: str, *, pip: bool) -> str:
    """The same for any installation.

    Args:
        extra: the extra's name.
        told: where the distribution says that it came from, the text of `direct_url.json`; '' from an index.
        pip: whether the environment has pip; uv makes some without.
    """
    python = shlex.quote(sys.executable)
    tool = f"{python} -m pip install" if pip else f"uv pip install --python {python}"
    origin: dict[str, Any] = json.loads(told or "{}")
    folder = _folder(str(origin.get("url", "")))
    editable = "-e " if folder and origin.get("dir_info", {}).get("editable") else ""
    return f"{tool} {editable}'{folder or DISTRIBUTION}[{extra}]'"


def _folder(url: str) -> str:
    """The folder that a URL names, '' if it names none that could be installed again."""
    parts = urlsplit(url)
    folder = unquote(parts.path)
    return folder if parts.scheme == "file" and (Path(folder) / "pyproject.toml").is_file() else ""


def _told() -> str:
    try:
        return distribution(DISTRIBUTION).read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return ""
