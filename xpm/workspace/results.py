"""The record of a finished job: one line of JSON that carries its own proof of being whole.

The last keys are the job, the code that ran, the fence, and a checksum of all that stands before it, so that one short
read at the end tells a whole record, and whose it is, from a torn one, and from another job's.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import json.encoder
import math
import os
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from xpm.errors import ResultError
from xpm.types import Fence, JobId

FORMAT = 1
RECORD = ".xpm/result.json"
MAX_RESULT = 1 << 20
"""The most that a result may take as JSON."""

_TAIL = re.compile(
    rb',"job":"([^"\\]*)","code":"([^"\\]*)","fence":"([0-9]*)","checksum":"([0-9a-f]{64})"}\n\Z'
)
_TAIL_SIZE = 384
_SHORT = 4096


def _json_encoder() -> Callable[[Any], str]:
    """JSON in one line, by the encoder in C alone.

    In the forked process of a job each Python function that runs for the first time costs copies of pages.
    """
    # None without the C extension, which CPython has.
    make: Any = vars(json.encoder).get("c_make_encoder")
    if make is None:
        return json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
    encode = make(None, _refuse, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False)
    return lambda value: "".join(encode(value, 0))


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _builtin_sha256() -> Any:
    """The interpreter's own SHA-256, which unlike OpenSSL's, the faster one, touches hardly any memory."""
    for name in ("_sha2", "_sha256"):
        with suppress(ImportError):
            return vars(importlib.import_module(name))["sha256"]
    return hashlib.sha256


_encode_json = _json_encoder()
_small_sha256 = _builtin_sha256()
_SMALL = 64 << 10


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished job."""

    job: JobId
    task: str
    label: str
    parameters: Mapping[str, Any]
    """Readable; `payload` is what builds the task again."""
    payload: bytes
    types: Mapping[str, bytes]
    """The packed descriptions of the types that the payload names, by their keys."""
    execution: int
    attempt: int
    host: str
    user: str
    worker: str
    pid: int
    started: float
    ended: float
    code: str
    """The snapshot of the code that ran."""
    result: Any
    """As `xpm.workspace.values.encode_result` made it."""
    fence: Fence
    changed: Sequence[str] = ()
    """Files of the project that had changed since the job was submitted, when it ran no copy of it."""


def result_text(task: str, result: Any) -> str:
    """The JSON of a result of `task`, in one line of ASCII.

    Args:
        task: its class's name.
        result: as `xpm.workspace.values.encode_result` made it.

    Raises:
        ResultError: it takes more than `MAX_RESULT`.
    """
    text = _encode_json(result)
    if len(text) > MAX_RESULT:
        raise ResultError(
            f"the result of {task} takes {len(text) / MAX_RESULT:.1f} MiB as JSON, at most 1 is kept: "
            "write a file in the job's directory and return its path"
        )
    return text


def pack_record(record: Record, result: str | None = None) -> bytes:
    """The line that is written.

    Args:
        record: what it says.
        result: the text of the result, if that is known; `record.result` is then not looked at.

    Raises:
        ResultError: the result takes more than `MAX_RESULT`.
    """
    if result is None:
        result = result_text(record.task, record.result)
    head = _encode_json(
        {
            "format": FORMAT,
            "task": record.task,
            "label": record.label,
            "parameters": _finite(record.parameters),
            "payload": _text(record.payload),
            "types": {key: _text(packed) for key, packed in record.types.items()},
            "execution": record.execution,
            "attempt": record.attempt,
            "host": record.host,
            "user": record.user,
            "worker": record.worker,
            "pid": record.pid,
            "started": record.started,
            "ended": record.ended,
            **({"changed": record.changed} if record.changed else {}),
        }
    )
    body = (
        f'{head[:-1]},"result":{result},"job":"{record.job}","code":{_encode_json(record.code)}'
        f',"fence":"{record.fence}"'
    ).encode("ascii")
    checksum: str = _sha256_for(len(body))(body).hexdigest()
    return b'%b,"checksum":"%b"}\n' % (body, checksum.encode("ascii"))


def unpack_record(line: bytes) -> Record | None:
    """The record in `line`; None when it is torn, altered or of a newer format."""
    tail = _TAIL.search(line, max(0, len(line) - _TAIL_SIZE))
    if tail is None or not _sound(line, tail, _sha256_for(len(line))):
        return None
    values: dict[str, Any] = json.loads(line)
    if values.pop("format", None) != FORMAT:
        return None
    del values["checksum"]
    try:
        values["payload"] = a2b_base64(values["payload"])
        values["types"] = {key: a2b_base64(packed) for key, packed in values["types"].items()}
        values["parameters"] = _unfinite(values["parameters"])
        values["changed"] = tuple(values.get("changed", ()))
        return Record(**values)
    except (KeyError, TypeError, Base64Error):
        return None  # whole, but by a program that was not xpm


def read_record(jobdir: str | os.PathLike[str]) -> Record | None:
    """The record of the job in the directory `jobdir`; None when there is none, or it is damaged or another job's."""
    try:
        with open(os.path.join(jobdir, RECORD), "rb") as file:
            record = unpack_record(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return record if record is not None and record.job == os.path.basename(jobdir) else None


class Proof(NamedTuple):
    """What the end of a whole record tells."""

    fence: Fence
    code: str
    """The snapshot of the code that ran."""


def complete(jobdir: str | os.PathLike[str]) -> Fence | None:
    """The fence of the record in `jobdir` when it is whole: see `proof`."""
    found = proof(jobdir)
    return None if found is None else found.fence


def proof(jobdir: str | os.PathLike[str]) -> Proof | None:
    """That the record in `jobdir` is whole and this job's, else None; of a long one only the last bytes are looked at."""
    try:
        # Scripts ask this of every job that they submit: each call to the system counts.
        descriptor = os.open(f"{jobdir}/{RECORD}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = os.read(descriptor, _SHORT)
        whole = len(found) < _SHORT
        if not whole:
            size = os.fstat(descriptor).st_size
            found = os.pread(descriptor, _TAIL_SIZE, max(0, size - _TAIL_SIZE))
    finally:
        os.close(descriptor)
    tail = _TAIL.search(found, max(0, len(found) - _TAIL_SIZE))
    if tail is None or (whole and not _sound(found, tail, hashlib.sha256)):
        return None
    if not os.fspath(jobdir).endswith(tail[1].decode()):
        return None  # somebody has copied it here
    return Proof(Fence(tail[3].decode()), tail[2].decode())


_UNFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _finite(value: Any) -> Any:
    """`value` for JSON, which has no NaN and no infinities: they are marked as in results."""
    kind = value.__class__
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if kind is dict:
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if kind is list else value


def _unfinite(value: Any) -> Any:
    """The reverse of `_finite`."""
    kind = value.__class__
    if kind is dict:
        if value.keys() == {"$", "v"} and value["$"] == "float" and value["v"] in _UNFINITE:
            return _UNFINITE[value["v"]]
        return {key: _unfinite(each) for key, each in value.items()}
    return [_unfinite(each) for each in value] if kind is list else value


def _sound(line: bytes, tail: re.Match[bytes], sha256: Any) -> bool:
    """Whether the checksum at the end of the record `line` is that of what stands before."""
    return sha256(line[: tail.start(4) - len(',"checksum":"')]).hexdigest() == tail[4].decode()


def _sha256_for(size: int) -> Any:
    return _small_sha256 if size <= _SMALL else hashlib.sha256


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")
