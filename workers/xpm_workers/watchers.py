"""Who watches the outputs of a running job: the jobs of the task `xpm.Watch` among its successors."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from xpm.broker.broker import Broker, Claim
from xpm.broker.jobview import JobView
from xpm.broker.views import Views
from xpm.core.callbacks import WATCH, on_output
from xpm.core.functions import Function
from xpm.core.message import JobRef, TypeInfo, parameters, type_keys
from xpm.core.outputs import Output
from xpm.core.state import State
from xpm.core.submission import prepare
from xpm_workers.offspring import Asked, Offspring, refuse_ended


class Watchers:
    """Those of one execution; each gets each output once.

    Args:
        offspring: submits the jobs that call their functions.
        claim: the job.
    """

    def __init__(self, offspring: Offspring, claim: Claim) -> None:
        self._offspring = offspring
        self._claim = claim
        self._outputs: list[Output] = []
        self._told: dict[str, int] = {}
        """How many outputs each has got."""
        self._one = threading.Lock()

    def tell(self, broker: Broker, outputs: Sequence[Output]) -> None:
        """Submits what is to be done for these outputs, and for earlier ones with those who came later.

        A rerun tells nobody: until it is done, its files aren't where they are looked for.
        """
        with self._one:
            known = set(self._outputs)
            self._outputs += [each for each in outputs if each not in known]
            if self._claim.replaces:
                return
            refuse_ended(broker, self._claim)
            views = Views(broker)
            for watch in views.successors_of(self._claim.id, WATCH):
                if watch.state is State.WAITING and self._told.get(watch.id, 0) < len(self._outputs):
                    self._submit(broker, views, watch)

    def _submit(self, broker: Broker, views: Views, watch: JobView) -> None:
        payload = views.payload(watch.id)
        if payload is None:
            return
        packed = broker.types(type_keys(payload))
        types = {key: TypeInfo.unpack(each) for key, each in packed.items()}
        wanted = parameters(payload, types)
        assert isinstance(wanted, dict), "the parameters of a task"
        info = next(each for each in types.values() if each.function)
        function = Function(info.name, info.module, info.qualname, info.script)
        ref = JobRef(self._claim.id, self._claim.task)
        for at in range(self._told.get(watch.id, 0), len(self._outputs)):
            output = self._outputs[at]
            if (output.place, output.method) == (wanted["place"], wanted["method"]):
                asked = Asked.of(prepare(on_output(function, ref, output)), watch.queue, watch.priority)
                self._offspring.submit_for(broker, self._claim, asked, watch)
            self._told[watch.id] = at + 1
