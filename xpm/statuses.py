"""The exit statuses of scripts and commands, and which error gives which."""

from __future__ import annotations

from xpm.errors import (
    BrokerUnreachable,
    BrokerUnsuitable,
    ConfigError,
    ExperimentCancelled,
    JobCancelled,
    NoExperiment,
    NotSubmitted,
    SettingsError,
    SubmissionError,
    UsageError,
    WorkspaceError,
)

DONE, FAILED, USAGE, UNREACHABLE, CANCELLED, DETACHED = 0, 1, 2, 3, 4, 130
"""All done; some job not done; wrong use; no broker; cancelled; left by Ctrl-C, and detached from what goes on."""

_WRONG = (
    *(BrokerUnsuitable, SettingsError, UsageError, WorkspaceError),
    *(ConfigError, SubmissionError, NoExperiment, NotSubmitted),
)


def of_error(error: BaseException) -> int:
    """The status of what ended with `error`."""
    if isinstance(error, BrokerUnreachable):
        return UNREACHABLE
    if isinstance(error, (JobCancelled, ExperimentCancelled)):
        return CANCELLED
    return USAGE if isinstance(error, _WRONG) else FAILED
