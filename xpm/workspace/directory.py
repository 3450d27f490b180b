"""A job's directory in the hands of one execution: taking it, and publishing in it.

The worker does both; the job's process only enters the directory in between. All is done through descriptors of the
directory that was taken. A later execution moves that directory aside before it makes its own, so an earlier one that
still lives goes on in the moved one and harms nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from xpm.errors import WorkspaceError
from xpm.types import Fence
from xpm.workspace.carrying import carry
from xpm.workspace.exchange import ASIDE, exchange
from xpm.workspace.paths import LOGS, MARKER
from xpm.workspace.results import RECORD, Record, complete, read_record
from xpm.workspace.spares import Spares

SAID = ".xpm/said"
"""The last word of a job whose task closed its connection to the worker."""

STOP = ".xpm/stop"
"""Why the job is to end, for its process to read; there while it is."""

DURABLE_AFTER = 1.0
"""A job that took more seconds survives a loss of power; a shorter one is run again."""

STALE = ".xpm/stale"
"""Where the directories of earlier executions of a job lie, numbered from 1."""

_META, _RESULT = RECORD.split("/")
_SAID = SAID.removeprefix(f"{_META}/")
_STOP = STOP.removeprefix(f"{_META}/")
_BESIDE = ".rerun-"
"""Between a job's directory and a fence: where an execution works whose record is to replace another."""
_DRAFT = ".part"
_OWN = frozenset({_META, *LOGS})
"""What belongs to one execution, even where the rest goes on to the next."""

_FEW = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Overtaken(WorkspaceError):
    """The directory belongs to a later execution."""


class Removed(WorkspaceError):
    """The directory was removed or replaced, and not by a later execution: by its own task, or by hand."""


class JobDirectory:
    """The directory of a running execution.

    Its unpublished record lies in `.xpm/<fence>.part` from the first moment on and so names the owner.
    """

    __slots__ = (
        "_announced",
        "_draft",
        "_fence",
        "_here",
        "_identity",
        "_meta",
        "_part",
        "_spares",
        "home",
        "path",
    )

    def __init__(self, path: str, fence: Fence, spares: Spares, home: str = "") -> None:
        self.path = path
        """Where it is; moved with it."""
        self.home = home or path
        """Where the job's result is, or will be."""
        self._spares = spares
        self._announced = False
        self._fence = fence
        self._part = fence + _DRAFT
        held: list[int] = []
        try:
            held.append(os.open(path, _FOLDER))
            os.mkdir(_META, dir_fd=held[0])
            held.append(os.open(_META, _FOLDER, dir_fd=held[0]))
            held.append(os.open(self._part, _NEW, 0o666, dir_fd=held[1]))
            for name in LOGS:
                spares.lend(name, held[0])
        except OSError as error:
            for each in held:
                os.close(each)
            if isinstance(error, (FileExistsError, FileNotFoundError)):
                raise Overtaken(f"another execution has just taken {path}") from None
            raise
        self._here, self._meta, self._draft = held
        self._identity = _identity(self._here)

    @classmethod
    def take(
        cls, path: str, fence: Fence, spares: Spares, pulse: Callable[[], None] | None = None
    ) -> JobDirectory | Record:
        """A new directory at `path` for the execution `fence`, or the record of a job that is done.

        Its logs are there, empty, and are made of `spares`.

        A directory without a record that counts is moved into the new one, to `.xpm/stale/<n>`; its attempts
        are carried over. So is all that it has, but for its logs, if the job can be resumed.

        Args:
            path: where.
            fence: the execution's.
            spares: of the worker.
            pulse: called now and then while files are copied, if the job can be resumed.

        Raises:
            Overtaken: a later execution has the directory.
            OSError: it cannot be made.
        """
        try:
            _make(path)
        except FileExistsError:
            record = read_record(path)
            if record is not None:
                return record
            _replace(path, fence)
        made = cls(path, fence, spares)
        # Also after an execution that died between setting aside and this.
        if os.path.lexists(path + ASIDE):
            _adopt(path)
            if pulse is not None:
                made._carry(pulse)
        return made

    def _carry(self, pulse: Callable[[], None]) -> None:
        try:
            carry(self.path, f"{self.path}/{STALE}", _OWN, lambda folder: owner(folder) != "", pulse)
        except BaseException:
            self.abandon()
            self.close()
            raise

    @classmethod
    def take_beside(cls, home: str, fence: Fence, spares: Spares, replaces: str) -> JobDirectory | Record:
        """A new directory for the execution `fence`, whose record is to replace the one of the fence `replaces`.

        It lies beside that of the job, which stays until the new record is there. Where the job's has another record,
        that one is given: it was replaced already. Where it has none, this is as `take`.

        Raises:
            Overtaken: a later execution has the job.
            OSError: it cannot be made.
        """
        _mend(home)
        if not os.path.isdir(home):
            return cls.take(home, fence, spares)
        path = f"{home}{_BESIDE}{fence}"
        os.mkdir(path)
        made = cls(path, fence, spares, home)
        # In this order: an earlier execution whose directory was moved can replace nothing any more.
        others = [each for each in _beside(home) if each != fence]
        if any(each > fence for each in others):
            made._give_up()
            raise Overtaken(f"a later execution has taken {home}")
        for each in others:
            _shelve(f"{home}{_BESIDE}{each}", home)
        record = read_record(home)
        if record is not None and record.fence == replaces:
            return made
        made._give_up()
        return record if record is not None else cls.take(home, fence, spares)

    def _give_up(self) -> None:
        """Nothing was done here."""
        self._take_back_logs(clean=True)
        self._remove_draft()
        self.close()
        with suppress(OSError):  # a later execution has moved it
            os.rmdir(f"{self.path}/{_META}")
            os.rmdir(self.path)

    def publish(self, line: bytes, *, durable: bool, clean: bool = True) -> bool:
        """Makes `line` the record; False when there is one already, which stays. Empty logs are removed.

        Args:
            line: the record.
            durable: whether it must survive a loss of power from here on, as the job's files do already.
            clean: no process of the job is left.

        Raises:
            Overtaken: a later execution has the directory; the record, if written, is in the one that was moved aside.
            Removed: the directory was removed or replaced.
            OSError: the record could not be written; nothing is published.
        """
        self._take_back_logs(clean=clean)
        self._write(line)
        if durable:
            os.fsync(self._draft)
        first = self._link()
        self._remove_draft()
        if not self.in_place():
            raise _displaced(self.home, self._fence)
        if durable:
            for folder in (self._meta, self._here):
                os.fsync(folder)
        if self.path != self.home:
            self._replace()
        if durable:
            _sync_folder(os.path.dirname(self.path))
        return first

    def _replace(self) -> None:
        """This directory, with its record, becomes the job's, at one stroke; the one before goes into it."""
        beside = self.path
        try:
            exchange(beside, self.home)
        except FileNotFoundError:
            if os.path.lexists(self.home) or not os.path.lexists(beside):
                raise _displaced(self.home, self._fence) from None
            os.rename(beside, self.home)  # the one before was removed
        self.path = self.home
        _shelve(beside, self.home)

    def abandon(self, *, clean: bool = True) -> None:
        """Removes the unpublished record and empty logs; the directory stays for those who look into it.

        One that lay beside the job's goes to the stale ones in there.

        Args:
            clean: no process of the job is left; else the unpublished record stays as well, and says that one may be.
        """
        self._take_back_logs(clean=clean)
        if clean:
            self._remove_draft()
        if self.path != self.home:
            self.path = _shelve(self.path, self.home) or self.path

    def announce(self, stop: bytes) -> None:
        """Leaves word for the job's process why it is to end, before it gets the signal.

        Raises:
            OSError: it can't be written.
        """
        descriptor = os.open(
            _STOP, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666, dir_fd=self._meta
        )
        self._announced = True
        with open(descriptor, "wb") as file:
            file.write(stop)

    def close(self) -> None:
        """Lets go of the directory."""
        for descriptor in (self._here, self._meta, self._draft):
            os.close(descriptor)

    def said(self) -> bytes:
        """What the job's process left to be told; empty when that is nothing."""
        try:
            descriptor = os.open(_SAID, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._meta)
        except FileNotFoundError:
            return b""
        with open(descriptor, "rb") as file:
            os.unlink(_SAID, dir_fd=self._meta)
            return file.read()

    def in_place(self) -> bool:
        """Whether the directory is still the one at its path."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _take_back_logs(self, *, clean: bool) -> None:
        if self._announced:
            self._announced = False
            with suppress(FileNotFoundError):
                os.unlink(_STOP, dir_fd=self._meta)
        for name in LOGS:
            self._spares.take_back(name, self._here, clean=clean)

    def _write(self, line: bytes) -> None:
        at = 0
        while at < len(line):
            at += os.pwrite(self._draft, line[at:], at)

    def _link(self) -> bool:
        try:
            os.link(self._part, _RESULT, src_dir_fd=self._meta, dst_dir_fd=self._meta, follow_symlinks=False)
        except FileExistsError:
            # A server that repeats the call for a lost reply says so of our own link too.
            return os.fstat(self._draft).st_nlink == 2
        except FileNotFoundError:
            raise _displaced(self.path, self._fence) from None
        return True

    def _remove_draft(self) -> None:
        try:
            os.unlink(self._part, dir_fd=self._meta)
        except FileNotFoundError:
            return  # somebody cleared the directory: nothing is left to remove


def enter(path: str, fence: Fence) -> None:
    """Makes the directory at `path`, which was taken for the execution `fence`, the working directory.

    Raises:
        Overtaken: a later execution has it.
        Removed: it was removed or replaced.
    """
    try:
        os.chdir(path)
        os.stat(f"{_META}/{fence}{_DRAFT}")
    except FileNotFoundError:
        raise _displaced(path, fence) from None


def confirm(path: str, fence: Fence) -> None:
    """Sees that the directory at `path` is still that of the execution `fence`.

    Raises:
        Overtaken: a later execution has it.
        Removed: it was removed or replaced.
    """
    if not os.path.exists(f"{path}/{_META}/{fence}{_DRAFT}"):
        raise _displaced(path, fence)


def make_durable(path: str) -> None:
    """Sees that the job's files survive a loss of power from here on.

    Raises:
        OSError: a file could not be written.
    """
    files = list(_files(path))
    if len(files) > _FEW:
        os.sync()
        return
    for each in files:
        try:
            descriptor = os.open(each, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, PermissionError):
            continue  # gone again, or made unreadable by the task
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def owner(path: str) -> Fence:
    """The fence of the execution that has the directory at `path`; empty when none is at work there."""
    try:
        names = os.listdir(os.path.join(path, _META))
    except (FileNotFoundError, NotADirectoryError):
        return Fence("")
    return Fence(max((name.removesuffix(_DRAFT) for name in names if name.endswith(_DRAFT)), default=""))


def _displaced(path: str, fence: Fence) -> Overtaken | Removed:
    """Why the directory of the execution `fence` is not the one at `path` any more.

    A job whose directory a later execution has is handed back, uncounted; so only that may pass for it: a task that
    clears its own directory would run for ever.
    """
    if max([owner(path), complete(path) or "", *_beside(path)]) > fence:
        return Overtaken(f"a later execution has taken {path}")
    return Removed(
        "the job's directory was removed or replaced while it ran: a task must leave its own directory in place; "
        f"the next run makes {path} again"
    )


def _beside(home: str) -> list[Fence]:
    """The fences of the executions that work beside the job's directory `home`, or have."""
    folder, name = os.path.split(home)
    start = f"{name}{_BESIDE}"
    return [Fence(each.removeprefix(start)) for each in _entries(folder) if each.startswith(start)]


def _shelve(path: str, home: str) -> str | None:
    """Moves a directory to the stale ones in `home`, and its attempts to those there; None when it isn't there any more."""
    if not os.path.lexists(path):
        return None
    stale = f"{home}/{STALE}"
    try:
        os.makedirs(stale, exist_ok=True)
        _carry_over(f"{path}/{_META}", f"{home}/{_META}", stale)
        shelved = f"{stale}/{_free(stale)}"
        os.rename(path, shelved)
    except FileNotFoundError:  # another has moved it, or the job's directory was removed
        return None
    return shelved


def _mend(home: str) -> None:
    """An exchange that was made in two steps, and died between them, is undone."""
    aside = home + ASIDE
    if not os.path.lexists(home) and os.path.lexists(f"{aside}/{RECORD}"):
        os.rename(aside, home)


def _make(path: str) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        # The first of its kind; or the file system that has the workspace isn't mounted, and what would be made here
        # is seen on this host alone.
        os.stat(f"{path.rsplit('/', 4)[0]}/{MARKER}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path)


def _replace(path: str, fence: Fence) -> None:
    with suppress(FileNotFoundError):  # removed while we looked
        _set_aside(path, fence)
    try:
        _make(path)
    except FileExistsError:
        raise Overtaken(f"another execution has just taken {path}") from None


def _set_aside(path: str, fence: Fence) -> None:
    seen = os.lstat(path)
    if owner(path) > fence:
        raise Overtaken(f"a later execution has taken {path}")
    aside = path + ASIDE
    if os.path.lexists(aside):
        _adopt(path)  # of an execution that died half-way
    os.rename(path, aside)
    moved = os.lstat(aside)
    if (moved.st_dev, moved.st_ino) != (seen.st_dev, seen.st_ino):
        os.rename(aside, path)  # a later execution came between the two looks: it keeps its directory
        raise Overtaken(f"a later execution has just taken {path}")


def _adopt(path: str) -> None:
    """Takes in what was set aside, and what that had taken in before."""
    meta, old = f"{path}/{_META}", f"{path}{ASIDE}/{_META}"
    stale = f"{path}/{STALE}"
    os.makedirs(stale, exist_ok=True)
    _carry_over(old, meta, stale)
    os.rename(path + ASIDE, f"{stale}/{_free(stale)}")


def _carry_over(old: str, meta: str, stale: str) -> None:
    """What a directory had taken in before, and its attempts, go to another one's."""
    for name in _entries(f"{old}/stale"):
        os.rename(f"{old}/stale/{name}", f"{stale}/{_free(stale)}")
    if attempts := _entries(f"{old}/attempts"):
        os.makedirs(f"{meta}/attempts", exist_ok=True)
        for name in attempts:
            os.rename(f"{old}/attempts/{name}", f"{meta}/attempts/{name}")


def _free(stale: str) -> int:
    return 1 + max((int(name) for name in os.listdir(stale) if name.isdecimal()), default=0)


def _entries(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=lambda name: (len(name), name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(path: str) -> Iterator[str]:
    for folder, folders, names in os.walk(path):
        if folder == f"{path}/{_META}":
            folders[:] = [name for name in folders if name != "stale"]
        for name in names:
            full = os.path.join(folder, name)
            if os.path.isfile(full) and not os.path.islink(full):
                yield full
        if folder != path:
            yield folder


def _identity(descriptor: int) -> tuple[int, int]:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
