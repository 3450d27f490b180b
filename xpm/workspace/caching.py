"""What a config computes once for all: `cache` keeps it in the workspace, by the config's identifier."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from xpm.core.identifier import identifier
from xpm.core.info import Description, info_of
from xpm.core.live import author_class
from xpm.core.schema import KEYED, schema_of
from xpm.core.session import active, open_anywhere
from xpm.errors import ConfigError, WorkspaceError
from xpm.settings import load
from xpm.workspace.paths import cache_dir

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


class Cached(Protocol):
    """What `cache` makes: a decorator for methods of any type."""

    def __call__(self, method: Callable[Concatenate[S, Path, P], T], /) -> Callable[Concatenate[S, P], T]:
        """The method without the path, which it is given."""
        ...


def cache(name: str) -> Cached:
    """Gives a method of a config a path to keep in what it computes, the same for all that have its identifier.

    The method is called each time: it reads the file, or the folder, if that is there, else it makes it. One call at a
    time, in all processes and on all hosts that have the workspace; others wait. What was made is there as a whole when
    the method returns; if it raises or its process dies, nothing is, and the next one makes it.

    Args:
        name: the name of the file; equal names in one class are one file.

    Example:
        ```python
        class Corpus(Config):
            path: Param[Path]

            @cache("lengths.npy")
            def lengths(self, path: Path) -> np.ndarray:
                if not path.exists():
                    np.save(path, count(self.path))
                return np.load(path)

        corpus.lengths()
        ```

    Raises:
        ConfigError: the name is none of a file.
    """
    if not name or name != os.path.basename(name) or name.startswith("."):
        raise ConfigError(f"cache: expected the name of a file, got {name!r}")

    def decorate(method: Callable[Concatenate[S, Path, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def cached(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
            folder = _folder(self, f"{type(self).__name__}.{method.__name__}")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(f"cannot make {folder}: {error.strerror or error}") from None
            with _alone(folder / f".{name}.lock"):
                target = folder / name
                if target.exists():
                    return method(self, target, *args, **kwargs)
                with _draft(folder, name) as path:
                    value = method(self, path, *args, **kwargs)
                    if path.exists():
                        os.rename(path, target)
                return value

        setattr(cached, KEYED, True)
        return cached

    return decorate


def _folder(config: Any, label: str) -> Path:
    info = info_of(config)
    if info is not None and info.digest is not None and not isinstance(config, Description):
        cls, key = author_class(config), info.digest.hex()
    else:
        described = _described(config)
        if described is None:
            raise ConfigError(
                f"{label}: of which description it is isn't known here: call it in execute, or on what .instance() made"
            )
        cls, key = described.__xpm_schema__.cls, identifier(described)
    return Path(cache_dir(str(_workspace()), schema_of(cls).name, key))


def _described(config: Any) -> Any:
    if isinstance(config, Description):
        return config
    session = active()
    return None if session is None else session.describe(config)


def _workspace() -> Path:
    """The workspace of the open experiment, or that of the settings, as in a job."""
    session = active()
    found = next((path for path, each in open_anywhere().items() if each is session), None)
    return load().workspace if found is None else found


@contextmanager
def _alone(lock: Path) -> Generator[None]:
    """Holds a lock on a file, which the system lets go when the process dies."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            # On the open file and not on the process: threads wait for each other, too. Over NFS it holds on all hosts.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise WorkspaceError(
                f"cannot lock {lock}: {error.strerror}: the file system has no locks"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _draft(folder: Path, name: str) -> Generator[Path]:
    """A path of that name in a folder of its own, which is gone in the end; with those that a crash has left."""
    for left in folder.glob(f".{name}.*.draft"):
        shutil.rmtree(left, ignore_errors=True)
    draft = folder / f".{name}.{secrets.token_hex(4)}.draft"
    draft.mkdir()
    try:
        yield draft / name
    finally:
        shutil.rmtree(draft, ignore_errors=True)
