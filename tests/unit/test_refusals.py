"""What Redis answers, told as errors of xpm."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from xpm.broker.refusals import as_ours
from xpm.errors import BrokerError, BrokerStalled, BrokerUnreachable


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ResponseError(
                "MISCONF Errors writing to the AOF file: No space left on device script: 45b7, on @user_script:30."
            ),
            "it cannot write to its disk (MISCONF: Errors writing to the AOF file: No space left on device)",
        ),
        (
            ResponseError(
                "Error running script (call to f_45b7): @user_script:30: @user_script: 30: "
                "-NOREPLICAS Not enough good replicas to write."
            ),
            "fewer replicas are there than its min-replicas-to-write (NOREPLICAS: Not enough good replicas to write)",
        ),
        (
            OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
            "its memory is full (maxmemory) (OOM: command not allowed when used memory > 'maxmemory')",
        ),
        (
            ReadOnlyError("You can't write against a read only replica."),
            "it has become a replica (READONLY: You can't write against a read only replica)",
        ),
    ],
)
def test_a_server_that_takes_no_changes_is_told_from_one_that_refuses(error: RedisError, told: str) -> None:
    ours = as_ours(error, "'claim'")
    assert isinstance(ours, BrokerStalled) and str(ours) == f"the broker takes no changes: {told}"


@pytest.mark.parametrize(
    ("error", "cls", "told"),
    [
        (RedisConnectionError("gone"), BrokerUnreachable, "the broker does not answer: gone"),
        (ResponseError("ERR no OOM"), BrokerError, "the broker refused 'claim': ERR no OOM"),
    ],
)
def test_other_errors_are_not(error: RedisError, cls: type[BrokerError], told: str) -> None:
    ours = as_ours(error, "'claim'")
    assert type(ours) is cls and str(ours) == told
