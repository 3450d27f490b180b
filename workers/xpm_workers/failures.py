"""What to tell of an exception: the user's frames, not ours."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from traceback import FrameSummary, StackSummary, TracebackException

import xpm.errors
from xpm.core.retries import exception_name
from xpm.errors import XpmError
from xpm.workspace.attempts import LONGEST_MESSAGE, LONGEST_TRACEBACK, Failure

_OWN = tuple(os.path.dirname(str(path)) + os.sep for path in (xpm.errors.__file__, __file__))
_FROZEN = ("<frozen importlib", "<frozen runpy", "<frozen zipimport")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_HEAD = LONGEST_TRACEBACK // 4


def describe(error: BaseException, kind: str = "exception", moved: tuple[str, str] = ("", "")) -> Failure:
    """The failure that `error` is; never raises, whatever the exception's own methods do.

    Args:
        error: what was raised.
        kind: see `Failure`.
        moved: the folder of the copied code and the project's folder: paths are shown in the latter.
    """
    exit_code = None
    if isinstance(error, SystemExit) and kind == "exception":
        kind, exit_code = "exit", _exit_code(error)
    name = _name(type(error))
    try:
        told, where = _tell(error)
    except BaseException as trouble:  # a hostile exception must not take its own report down
        told, where = f"{name} (its traceback cannot be shown: {_name(type(trouble))})\n", ""
    if moved[0]:
        told, where = (text.replace(moved[0] + os.sep, moved[1] + os.sep) for text in (told, where))
    return Failure(kind, name, _message(error), _clipped(told), where, exit_code)


def names(error: BaseException) -> list[str]:
    """The names of an exception's class and of its bases, as policies of retries name them; and `disk` of a full one."""
    classes = [cls for cls in type(error).__mro__ if issubclass(cls, BaseException)]
    found = [exception_name(cls) for cls in classes]
    for cls in classes:
        found += _exported(cls)
    return [*found, "disk"] if isinstance(error, OSError) and error.errno in _FULL else found


def _exported(cls: type[BaseException]) -> Iterator[str]:
    """Its names in the packages above its module, as in `requests.ConnectionError`."""
    package = cls.__module__
    while package := package.rpartition(".")[0]:
        if getattr(sys.modules.get(package), cls.__qualname__, None) is cls:
            yield f"{package}.{cls.__qualname__}"


def _tell(error: BaseException) -> tuple[str, str]:
    whole = TracebackException.from_exception(error, compact=True)
    where = ""
    for each in _chain(whole):
        own = [frame for frame in each.stack if not _is_ours(frame)]
        if own or isinstance(error, (SyntaxError, XpmError)):  # ours say all in their message
            each.stack = StackSummary.from_list(own)
        if each is whole:
            where = _place(error, own)
    text = "".join(whole.format())
    # A syntax error has no frame of the user's: its own lines say where it is.
    return text.removeprefix("Traceback (most recent call last):\n") if not whole.stack else text, where


def _chain(whole: TracebackException) -> Iterator[TracebackException]:
    seen: set[int] = set()
    waiting: list[TracebackException | None] = [whole]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]


def _place(error: BaseException, own: list[FrameSummary]) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""


def _is_ours(frame: FrameSummary) -> bool:
    return frame.filename.startswith(_OWN) or frame.filename.startswith(_FROZEN)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_MESSAGE]
    except BaseException as trouble:  # a __str__ may raise anything, SystemExit too
        return f"(its message cannot be shown: {_name(type(trouble))})"


def _name(cls: type[BaseException]) -> str:
    return cls.__qualname__ if cls.__module__ == "xpm.errors" else exception_name(cls)


def _exit_code(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")  # as the interpreter does with sys.exit("message")
    return 1


def _clipped(text: str) -> str:
    if len(text) <= LONGEST_TRACEBACK:
        return text
    return f"{text[:_HEAD]}\n...\n{text[_HEAD - LONGEST_TRACEBACK :]}"
