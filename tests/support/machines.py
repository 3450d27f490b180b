"""Running a state machine of hypothesis on a server."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from servers import Server

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def run_machine(
    machine: type[RuleBasedStateMachine], server: Server, examples: int, steps: int, *, random: bool
) -> None:
    """Runs `machine`, which finds the server in its attribute `server`, and leaves that empty."""
    try:
        run_state_machine_as_test(
            type("Machine", (machine,), {"server": server}),
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=not random,
                suppress_health_check=QUIET, print_blob=True,
            ),
        )  # fmt: skip
    finally:
        with server.client() as client:
            client.flushall()
