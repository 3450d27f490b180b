"""The descriptions behind live objects, in a job's process: what its tasks submit and register is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xpm.core.config import Task
from xpm.core.info import own_info
from xpm.core.live import is_filled
from xpm.core.message import JobRef, TypeInfo, describe
from xpm.core.outputs import parts, places
from xpm.core.session import Session
from xpm_workers.loader import Loader

Payload = tuple[bytes, Mapping[str, bytes]]
"""A payload and the packed descriptions of the types that it names."""


class Descriptions:
    """Makes descriptions from payloads, each once.

    Args:
        loader: finds the classes.
        payload: gives the payload of a job.
        dependency: gives the live object that stands for a job.
        session: what is asked by those that stand for jobs.
    """

    def __init__(
        self,
        loader: Loader,
        payload: Callable[[JobRef], Payload],
        dependency: Callable[[JobRef], Task],
        session: Session,
    ) -> None:
        self._loader = loader
        self._payload = payload
        self._dependency = dependency
        self._session = session
        self._made: dict[JobRef, Any] = {}

    def of(self, ref: JobRef) -> Any:
        """The description that the job `ref` was submitted from.

        The tasks that it depends on have their values, too; those that these depend on stand for their jobs alone.
        """
        return self._description(ref, self._near)

    def behind(self, live: Any, task: Task, ref: JobRef) -> Any:
        """The description of a config in the live `task` of the job `ref`, or in one that it depends on; else None."""
        for place, part in parts(task):
            if part is live:
                return _at(self.of(ref), place)
            if place and isinstance(part, Task) and is_filled(part):
                info = own_info(part)
                found = next((way for way, each in places(part) if each is live), None)
                if found is not None and info.ref is not None:
                    return _at(self._near(info.ref), found)
        return None

    def _description(self, ref: JobRef, stand_in: Callable[[JobRef], Any]) -> Any:
        made = self._made.get(ref)
        if made is None:
            payload, packed = self._payload(ref)
            types = {key: TypeInfo.unpack(each) for key, each in packed.items()}
            made = self._made[ref] = describe(payload, types, self._loader.find, stand_in, ref)
            own_info(made).session = self._session
        return made

    def _near(self, ref: JobRef) -> Any:
        return self._description(ref, self._far)

    def _far(self, ref: JobRef) -> Any:
        return self._dependency(ref).__xpm_stand_in__()


def _at(task: Any, place: str) -> Any:
    return next((part for way, part in parts(task) if way == place), None)
