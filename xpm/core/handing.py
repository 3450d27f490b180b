"""How a description is handed to the open experiment, and what is to be called when its job has come to something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xpm.core.info import Description, Info, info_of, own_info
from xpm.core.initial import same_initial, set_initial
from xpm.core.options import Given, options_of
from xpm.core.outputs import outputs_of
from xpm.core.session import DEFAULTS, Session, SubmitOptions, active
from xpm.errors import ConfigError, NoExperiment, NotSubmitted, SubmissionError

_NOTHING: Given = (None, None, (), None, None, None)
"""The options of a submission that names none."""


def described(config: Any, method: str) -> Any:
    """`config`, which must be a description.

    Raises:
        ConfigError: it is live; `method` is what was called.
    """
    cls: type[Any] = config.__class__
    if not isinstance(config, Description):
        raise ConfigError(
            f"{cls.__name__}.{method}: only a description has it, as {cls.__name__}.C(...) makes"
        )
    return config


def hand_over(task: Any, given: Given, init_tasks: Sequence[Any], unknown: Mapping[str, Any]) -> Any:
    """Hands a task to the open experiment; see `Task.submit`, whose arguments these are.

    Returns:
        What the task gives out.

    Raises:
        NoExperiment: outside of an experiment.
        ConfigError: a parameter is missing or wrong.
        SubmissionError: it can't become a job, or an option is wrong.
    """
    info = own_info(described(task, "submit"))
    if info.past is not None:
        raise SubmissionError(
            f"{type(task).__name__}.submit: it was loaded from the directory of its job; submit a .copy() of it"
        )
    if info.session is not None:
        _refuse_others(task, init_tasks)
        return _given_out(task, info)
    session = active()
    if session is None:
        raise NoExperiment()
    options = DEFAULTS if given == _NOTHING and not unknown else _options(task, given, unknown)
    # A wrong callback is told before anything is submitted.
    calls = [check(session) for check in info.callbacks] if info.callbacks else ()
    if init_tasks:
        set_initial(task, init_tasks)
    try:
        session.submit(task, options)
    except BaseException:
        info.init = ()
        raise
    info.session = session
    if calls:
        info.callbacks = ()
        for register in calls:
            register()
    return _given_out(task, info)


def _given_out(task: Any, info: Info) -> Any:
    """What `submit` returns: what the task gives out, if it defines that, and the same each time."""
    cls: type[Any] = task.__class__
    if not hasattr(cls, "task_outputs"):
        return task
    if info.output is None:
        info.output = outputs_of(task)
    return info.output


def _refuse_others(task: Any, init_tasks: Sequence[Any]) -> None:
    if init_tasks and not same_initial(task, init_tasks):
        raise SubmissionError(
            f"{task.__xpm_schema__.label}.submit: it was submitted with other init tasks; submit a .copy() of it"
        )


def _options(task: Any, given: Given, unknown: Mapping[str, Any]) -> SubmitOptions:
    try:
        return options_of(given, unknown)
    except SubmissionError as error:
        raise SubmissionError(f"{task.__xpm_schema__.label}.submit: {error}") from None


def asked_of(task: Any) -> Session:
    """Who answers for the job of `task`.

    Raises:
        NotSubmitted: it has none.
    """
    info = info_of(task)
    if info is None or info.asked is None:
        raise NotSubmitted(f"{type(task).__name__}: not submitted; call .submit() first")
    return info.asked


def refuse_uncallable(method: str, callback: object) -> None:
    """Refuses a callback that can't be called.

    Raises:
        ConfigError: naming the method that it was given to.
    """
    if not callable(callback):
        raise ConfigError(f"{method}: expected a function, got {callback!r}")


def call_back(task: Any, method: str, check: Callable[[Session], Callable[[], None]]) -> Any:
    """Notes a callback of `task`, submitted or not; `check` refuses a wrong one, and gives what registers it."""
    info = own_info(described(task, method))
    if info.asked is not None:
        check(info.asked)()
    else:
        session = active()
        if session is not None:
            check(session)
        info.callbacks = (*info.callbacks, check)
    return task
