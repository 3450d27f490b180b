"""What a worker, its zygote and a job's process say to each other: MessagePack lists over SOCK_SEQPACKET.

| from | frame | meaning |
| --- | --- | --- |
| worker | `["run", {...}]` | run this job: see `Request` |
| worker | `["signal", n]` | send signal n to all processes of the job |
| worker | `["ask"]` | say that you listen |
| job | `["progress", value, desc, level]` | dropped when the worker doesn't keep up |
| job | `["line"]` | with a descriptor: its own connection to the worker, for questions; see `xpm_workers.errands` |
| job | `["done", {"started", "ended", "result"}]` | the task is done; `result` is the text for its record |
| job | `["failed", {...}]` | a `Failure`, with "started" and "ended", and "names" of the exception's class and bases |
| | `"changed"` and `"code"` in either | if files have changed since the job was submitted: which, and what to call the code |
| zygote | `["started", pid]` | the job has a process, which may have spoken already |
| zygote | `["here"]` | it listens |
| zygote | `["exit", status, clean]` | always last: `waitpid`'s status; clean: no process of the job is left |
| zygote | `["refused", reason]` | in place of all others: the job could not be started |

A frame that is too long for one message travels as several `["part", more, bytes]`.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgpack

from xpm.errors import MessageError
from xpm.types import Fence, JobId

PART = 48 << 10
"""The most bytes of a frame that one message carries: well below the smallest usual socket buffer."""

_BUFFER = PART + 1024
# As plain numbers: to join two flags of an enum takes longer than to send a message.
_NOSIGNAL = int(getattr(socket, "MSG_NOSIGNAL", 0))  # where it is missing, Python ignores SIGPIPE anyway
_AT_ONCE = _NOSIGNAL | int(socket.MSG_DONTWAIT)
_NOT_INHERITED = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_ROOM = socket.CMSG_SPACE(4 * array("i").itemsize)

_pack = cast(Any, msgpack).Packer(unicode_errors="surrogateescape").pack

Frame = list[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One execution of a job, for the process that runs it."""

    job: JobId
    task: str
    fence: Fence
    attempt: int
    payload: bytes
    types: dict[str, bytes]
    workspace: str
    code: str
    folder: str = ""
    """The directory that was taken for it, if it is not the job's own."""
    environ: dict[str, str] = field(default_factory=dict[str, str])
    limit: float = 0.0
    """Seconds that it may take; 0: as long as it takes."""
    needs: str = ""
    """What its requirements hold for it; see `xpm.core.requirement`."""

    @classmethod
    def of(cls, values: Any) -> Request:
        """The request in a frame.

        Raises:
            MessageError: something is missing, or of a newer xpm.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise MessageError(f"the request to run a job cannot be read: {error}") from None


def send(connected: socket.socket, frame: Frame) -> None:
    """Sends `frame`, waiting while the other side doesn't keep up.

    Raises:
        OSError: the other side is gone.
    """
    for message in messages(frame):
        connected.send(message, _NOSIGNAL)


def send_request(connected: socket.socket, request: Mapping[str, Any]) -> None:
    """Asks for the job that `request` describes, with the keys of `Request`.

    Raises:
        OSError: the other side is gone.
    """
    send(connected, ["run", request])


def offer(connected: socket.socket, message: bytes) -> bool:
    """Sends one message unless that would have to wait; whether it was sent.

    Raises:
        OSError: the other side is gone.
    """
    try:
        connected.send(message, _AT_ONCE)
    except BlockingIOError:
        return False
    return True


def hand(connected: socket.socket, frame: Frame, descriptor: int) -> None:
    """Sends a short `frame`, and the other side a copy of `descriptor` with it.

    Raises:
        OSError: the other side is gone.
    """
    socket.send_fds(connected, [pack(frame)], [descriptor])


def receive(
    connected: socket.socket, parts: list[bytes] | None = None, handed: list[int] | None = None
) -> Frame | None:
    """Waits for the next frame; None when the other side is gone.

    Args:
        connected: the connection.
        parts: keeps what came of a long frame for the next call, if others speak in its middle: threads of the task.
        handed: gets the descriptors that come along; without it, the kernel closes them.

    Raises:
        MessageError: what came is no frame.
    """
    parts = [] if parts is None else parts
    while message := receive_message(connected, handed):
        frame = unpack(message)
        if frame[0] != "part":
            return frame
        parts.append(frame[2])
        if not frame[1]:
            whole = b"".join(parts)
            parts.clear()
            return unpack(whole)
    return None


def receive_message(connected: socket.socket, handed: list[int] | None = None) -> bytes:
    """Waits for the next message; empty when the other side is gone."""
    try:
        if handed is None:
            return connected.recv(_BUFFER)
        message, beside, _, _ = connected.recvmsg(_BUFFER, _ROOM, _NOT_INHERITED)
    except ConnectionResetError:
        return b""
    for level, kind, data in beside:
        if (level, kind) == _RIGHTS:
            whole = array("i")
            whole.frombytes(data[: len(data) - len(data) % whole.itemsize])
            handed += whole
    return message


def messages(frame: Frame) -> list[bytes]:
    """The messages that carry `frame`."""
    data = pack(frame)
    if len(data) <= PART:
        return [data]
    ends = range(0, len(data), PART)
    return [pack(["part", at + PART < len(data), data[at : at + PART]]) for at in ends]


def pack(frame: Frame) -> bytes:
    """`frame` as bytes."""
    return cast(bytes, _pack(frame))


def unpack(data: bytes) -> Frame:
    """The reverse of `pack`.

    Raises:
        MessageError: `data` is no frame.
    """
    try:
        frame: Any = cast(Any, msgpack).unpackb(data, unicode_errors="surrogateescape")
    except ValueError as error:
        raise MessageError(f"a frame cannot be read: {error}") from None
    if not isinstance(frame, list) or not frame:
        raise MessageError("a frame is a list with a name at its head")
    return cast(Frame, frame)


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, which must be free; to be handed to a zygote."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(128)
    return listener
