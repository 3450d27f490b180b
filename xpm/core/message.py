"""The payload of a job, all of it: `encoding` writes it, `decoding` and `building` read it, `typeinfo` names its classes."""

from __future__ import annotations

from xpm.core.building import build, describe, later
from xpm.core.decoding import JSON, parameters, references, type_keys
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
    "describe",
    "encode",
    "later",
    "parameters",
    "references",
    "type_keys",
]
