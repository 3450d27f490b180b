"""The payload of a job, all of it: `encoding` writes it, `decoding` reads it, `typeinfo` names its classes."""

from __future__ import annotations

from xpm.core.decoding import JSON, build, later, parameters, references, type_keys
from xpm.core.encoding import MAX_PAYLOAD, PAYLOAD_VERSION, encode
from xpm.core.info import JobRef
from xpm.core.typeinfo import TypeInfo

__all__ = [
    "JSON",
    "MAX_PAYLOAD",
    "PAYLOAD_VERSION",
    "JobRef",
    "TypeInfo",
    "build",
    "encode",
    "later",
    "parameters",
    "references",
    "type_keys",
]
