"""Fetches pip itself from the package index that pip's own settings name. Standard library only."""

from __future__ import annotations

import base64
import configparser
import hashlib
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

DEFAULT_INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
LISTS = ("extra-index-url", "find-links", "trusted-host", "constraint")
WHEEL = re.compile(r"^pip-(\d+(?:\.\d+)*)-py3-none-any\.whl$")


class NoPip(Exception):
    """No pip can be had; the text says why, in one line."""


def pip_settings(environ: dict[str, str]) -> dict[str, str]:
    """What pip would read: its files, weakest first, then `PIP_*`."""
    found: dict[str, str] = {}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text())
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for variable, value in environ.items():
        if variable.startswith("PIP_") and value:
            found[variable[4:].lower().replace("_", "-")] = value
    return found


def _files(environ: dict[str, str]) -> list[Path]:
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(environ.get("HOME", "~")).expanduser()
    shared = [Path(one) / "pip" for one in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if one]
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    folders = [*reversed(shared), Path("/etc"), home / ".pip", own]
    return [*(folder / "pip.conf" for folder in folders), *([Path(chosen)] if chosen else [])]


def listed(settings: dict[str, str], key: str) -> list[str]:
    """The values of a setting that can have several."""
    return settings.get(key, "").split()


def indexes(settings: dict[str, str]) -> list[str]:
    """The package indexes, the main one first."""
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return []
    return [settings.get("index-url", DEFAULT_INDEX), *listed(settings, "extra-index-url")]


def fetch_pip(directory: Path, environ: dict[str, str]) -> Path:
    """Puts the newest pip that this Python can run into `directory`, its checksum verified.

    Raises:
        NoPip: No index answers, or none has one.
    """
    settings = pip_settings(environ)
    opener = _opener(settings)
    pages = [(link, True) for link in listed(settings, "find-links")]
    pages += [(index.rstrip("/") + "/pip/", False) for index in indexes(settings)]
    problems: list[str] = []
    candidates: list[tuple[tuple[int, ...], str, str]] = []
    for page, local in pages:
        try:
            candidates += _candidates(opener, page, local)
        except (OSError, ValueError) as error:
            problems.append(f"{without_secret(page)}: {getattr(error, 'reason', None) or error}")
    for _, url, digest in sorted(candidates, reverse=True):
        try:
            content = _read(opener, url)[0]
        except OSError as error:
            problems.append(f"{without_secret(url)}: {error}")
            continue
        if digest and hashlib.sha256(content).hexdigest() != digest:
            problems.append(f"{without_secret(url)}: wrong checksum")
            continue
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / _filename(url)
        path.write_bytes(content)
        return path
    raise NoPip("; ".join(problems) or "no index has a pip for this Python")


def without_secret(url: str) -> str:
    """The URL as it can be shown."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _opener(settings: dict[str, str]) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=settings.get("cert"))
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=context),
        _Unverified({host.partition(":")[0] for host in listed(settings, "trusted-host")}),
    ]
    if settings.get("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": settings["proxy"], "https": settings["proxy"]}))
    return urllib.request.build_opener(*handlers)


class _Unverified(urllib.request.HTTPSHandler):
    """Speaks with the hosts that pip is told to trust."""

    handler_order = 400

    def __init__(self, hosts: set[str]) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(context=context)
        self._hosts = hosts

    def https_open(self, req):
        return super().https_open(req) if urlsplit(req.full_url).hostname in self._hosts else None


def _read(opener: urllib.request.OpenerDirector, url: str) -> tuple[bytes, str, str]:
    """The content, its type, and the address that it came from in the end."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        path = Path(unquote(parts.path)).expanduser()
        if path.is_dir():
            path = path / "index.html"
        return path.read_bytes(), "text/html", path.absolute().as_uri()
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers={"Accept": ACCEPT})
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    with opener.open(request, timeout=60) as reply:
        landed = urlsplit(reply.geturl())
        if landed.netloc == host:
            landed = landed._replace(netloc=parts.netloc)
        return reply.read(), reply.headers.get_content_type(), urlunsplit(landed)


def _candidates(
    opener: urllib.request.OpenerDirector, page: str, local: bool
) -> list[tuple[tuple[int, ...], str, str]]:
    """The wheels of pip that a page offers to this Python: version, address, SHA-256."""
    folder = Path(page.removeprefix("file://")).expanduser()
    if local and folder.is_dir() and not (folder / "index.html").exists():
        found = [(str(path), "", "") for path in folder.glob("pip-*.whl")]
    else:
        content, kind, base = _read(opener, page)
        found = _from_json(content, base) if kind.endswith("json") else _from_html(content.decode(), base)
    chosen = []
    for url, digest, wanted in found:
        name = WHEEL.match(_filename(url))
        # What comes over a network must say its checksum.
        trusted = bool(digest) or urlsplit(url).scheme in ("", "file")
        if name and trusted and fits(wanted, sys.version_info[:2]):
            chosen.append((tuple(int(part) for part in name[1].split(".")), url, digest))
    return chosen


def _from_json(content: bytes, base: str) -> list[tuple[str, str, str]]:
    return [
        (urljoin(base, file["url"]), file["hashes"].get("sha256", ""), file.get("requires-python") or "")
        for file in json.loads(content)["files"]
        if not file.get("yanked")
    ]


def _from_html(content: str, base: str) -> list[tuple[str, str, str]]:
    links = _Links()
    links.feed(content)
    found = []
    for attributes in links.found:
        url, _, fragment = urljoin(base, attributes["href"]).partition("#")
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        if "data-yanked" not in attributes:
            found.append((url, digest, attributes.get("data-requires-python") or ""))
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag, attrs):
        attributes = {key: value or "" for key, value in attrs}
        if tag == "a" and "href" in attributes:
            self.found.append(attributes)


def fits(wanted: str, python: tuple[int, int]) -> bool:
    """Whether a `requires-python` such as `>=3.9,!=3.10.*` admits this Python; what it can't read admits it."""
    for part in wanted.split(","):
        match = re.match(r"\s*(>=|<=|>|<|==|!=)\s*(\d+)(?:\.(\d+))?", part)
        if match is None:
            continue
        version = (int(match[2]), int(match[3] or 0))
        here = python[: 2 if match[3] else 1] if match[1] in ("==", "!=") else python
        there = version[: len(here)]
        verdict = {
            ">=": python >= version,
            ">": python > version,
            "<=": python <= version,
            "<": python < version,
            "==": here == there,
            "!=": here != there,
        }[match[1]]
        if not verdict:
            return False
    return True
