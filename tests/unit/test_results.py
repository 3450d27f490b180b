from __future__ import annotations

import dataclasses
import json
import math

import pytest

from xpm.errors import ResultError
from xpm.types import Fence, JobId
from xpm.workspace.results import MAX_RESULT, Record, complete, pack_record, read_record, unpack_record

RECORD = Record(
    job=JobId("ab" * 32),
    task="m.T",
    label="T lr=0.1",
    parameters={"lr": 0.1, "name": "é\udc80"},
    payload=b"\x93\x00\xff",
    types={"k": b"\x01\x02"},
    execution=3,
    attempt=2,
    host="h",
    user="u",
    worker="w",
    pid=12,
    started=1.5,
    ended=2.5,
    code="c",
    result={"x": [1, None]},
    fence=Fence("0" * 25 + "7"),
)


@pytest.fixture
def here(tmp_path):
    """The directory of the record's job."""
    path = tmp_path / RECORD.job
    path.mkdir()
    return path


def write(folder, line):
    (folder / ".xpm").mkdir(exist_ok=True)
    (folder / ".xpm" / "result.json").write_bytes(line)


def test_a_record_is_read_as_it_was_written(here):
    write(here, pack_record(RECORD))
    assert read_record(here) == RECORD
    assert complete(here) == RECORD.fence


def test_a_record_is_one_line_of_json_that_ends_with_fence_and_checksum():
    line = pack_record(RECORD)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert list(json.loads(line))[-4:] == ["job", "code", "fence", "checksum"]


def test_no_torn_record_counts(here):
    line = pack_record(RECORD)
    for length in range(len(line)):
        assert unpack_record(line[:length]) is None
    write(here, line[:-1])
    assert complete(here) is None
    write(here, b"\0" * len(line))
    assert complete(here) is None and read_record(here) is None


def test_no_altered_record_counts():
    line = pack_record(RECORD)
    for at in range(0, len(line) - 1, 7):
        altered = bytearray(line)
        altered[at] ^= 1
        assert unpack_record(bytes(altered)) is None


def test_an_absent_record_is_none(tmp_path):
    assert read_record(tmp_path / "nothing") is None
    assert complete(tmp_path / "nothing") is None
    (tmp_path / "file").touch()
    assert read_record(tmp_path / "file") is None


def test_a_record_of_a_newer_format_does_not_count():
    line = pack_record(RECORD).replace(b'"format":1', b'"format":2')
    assert unpack_record(line) is None


def test_a_result_above_the_limit_is_refused():
    with pytest.raises(ResultError, match="write a file"):
        pack_record(dataclasses.replace(RECORD, result="x" * MAX_RESULT))
    pack_record(dataclasses.replace(RECORD, result="x" * (MAX_RESULT - 2)))


def test_a_record_that_was_altered_anywhere_is_not_complete(here):
    line = pack_record(RECORD)
    for at in range(0, len(line), 7):
        write(here, line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :])
        assert complete(here) is None, at


def test_parameters_may_be_what_json_has_not(here):
    parameters = {"a": math.inf, "b": [-math.inf, {"c": math.nan}], "d": {"$": "float", "v": "1.5"}}
    line = pack_record(dataclasses.replace(RECORD, parameters=parameters))
    json.loads(line, parse_constant=pytest.fail)
    write(here, line)
    found = read_record(here)
    assert found is not None and repr(found.parameters) == repr(parameters)


@pytest.mark.parametrize("size", [10, 10_000])
def test_the_record_of_another_job_does_not_count(tmp_path, size):
    other = tmp_path / ("cd" * 32)
    other.mkdir()
    write(other, pack_record(dataclasses.replace(RECORD, result="x" * size)))
    assert complete(other) is None and read_record(other) is None
    other.rename(tmp_path / RECORD.job)
    assert complete(tmp_path / RECORD.job) == RECORD.fence
