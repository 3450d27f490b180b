"""When the inputs of a job are there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from xpm.core.message import JobRef
from xpm.types import Fence, JobId
from xpm.workspace.paths import job_dir
from xpm.workspace.results import RECORD as FILE
from xpm.workspace.results import pack_record
from xpm_workers.inputs import Inputs

from .test_results import RECORD

ONE, TWO = (Fence(f"{n:026}") for n in (1, 2))
FIRST, SECOND = (JobRef(JobId(digit * 64), "m.Task") for digit in "ab")


@pytest.fixture
def publish(tmp_path):
    """Puts a record of a fence in place."""

    def put(ref: JobRef, fence: Fence) -> None:
        path = Path(job_dir(str(tmp_path), ref.task, ref.id)) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack_record(dataclasses.replace(RECORD, job=ref.id, fence=fence)))

    return put


def test_the_first_input_that_is_not_there_is_named(tmp_path, publish):
    inputs = Inputs(str(tmp_path), [FIRST, SECOND], [ONE, ONE])
    assert inputs.missing() == FIRST.id
    publish(SECOND, ONE)
    assert inputs.missing() == FIRST.id
    publish(FIRST, ONE)
    assert inputs.missing() is None


def test_the_record_of_an_earlier_execution_is_not_the_one(tmp_path, publish):
    publish(FIRST, ONE)
    inputs = Inputs(str(tmp_path), [FIRST], [TWO])
    assert inputs.missing() == FIRST.id
    publish(FIRST, TWO)
    assert inputs.missing() is None


def test_the_record_of_a_later_execution_is_the_one(tmp_path, publish):
    """Of a rerun that published it, and whose worker died before it told the broker."""
    publish(FIRST, TWO)
    assert Inputs(str(tmp_path), [FIRST], [ONE]).missing() is None


def test_without_a_fence_any_record_will_do(tmp_path, publish):
    publish(FIRST, ONE)
    assert Inputs(str(tmp_path), [FIRST], [Fence("")]).missing() is None


def test_a_torn_record_is_none(tmp_path, publish):
    publish(FIRST, ONE)
    path = Path(job_dir(str(tmp_path), FIRST.task, FIRST.id)) / FILE
    path.write_bytes(path.read_bytes()[:-3])
    assert Inputs(str(tmp_path), [FIRST], [ONE]).missing() == FIRST.id


def test_a_record_that_cannot_be_read_is_missing_and_why_is_kept(tmp_path, publish):
    path = Path(job_dir(str(tmp_path), FIRST.task, FIRST.id)) / FILE
    path.mkdir(parents=True)  # as little to be read as another user's, or a broken disk's; for root, too
    inputs = Inputs(str(tmp_path), [FIRST], [ONE])
    assert inputs.missing() == FIRST.id
    assert isinstance(inputs.trouble, IsADirectoryError)
    path.rmdir()
    assert inputs.missing() == FIRST.id and inputs.trouble is None
    publish(FIRST, ONE)
    assert inputs.missing() is None
