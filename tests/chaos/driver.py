"""A run: faults by the plan while users submit, then calm, then the judgement."""

from __future__ import annotations

import time

import ledger as ledgers
from faults import TICK, Fault
from figures import Figures
from grounds import Grounds
from neighbour import Neighbour
from scripts import Scripts
from strikes import Strikes
from verdict import Evidence, complaints, records
from waiting import until

from xpm.core.state import State

CALM = 180.0
"""Seconds within which all must be done once the faults are over: for a machine with much else to do."""


def storm(grounds: Grounds, faults: list[Fault], seed: int) -> Figures:
    """Lets it all happen; fails with all that is not as it must be."""
    scripts = Scripts(grounds, seed)
    strikes = Strikes(grounds, scripts.recent, scripts.rerun)
    scripts.start()
    neighbour = Neighbour(grounds, seed)
    neighbour.start()
    began, date = time.monotonic(), time.time()
    try:
        for fault in faults:
            while (left := began + fault.at - time.monotonic()) > 0:
                time.sleep(min(left, TICK / 5))  # the plan's own pace, not a wait for something
                strikes.mend()
                grounds.tend()
                assert scripts.is_alive(), scripts.trouble
            strikes.strike(fault)
    finally:
        lasted = time.monotonic() - began
        scripts.enough()
        neighbour.finish()
        strikes.close()

    def done() -> bool:
        grounds.tend()
        assert scripts.is_alive() and not neighbour.trouble, scripts.trouble or neighbour.trouble
        ended = scripts.idle and scripts.watch.counts[State.DONE] == len(scripts.nodes)
        return ended and neighbour.gone()

    try:
        until(done, CALM)
    except AssertionError as error:
        rest = {scripts.nodes[id].name: scripts.watch.state(id) for id in scripts.nodes}
        open_jobs = {name: state for name, state in rest.items() if state is not State.DONE}
        raise AssertionError(f"not done: {open_jobs}\n{grounds.told()}") from error
    finally:
        scripts.finish()
    grounds.end_pools()
    neighbour.close()
    scripts.watch.look()
    evidence = Evidence(
        grounds,
        scripts.nodes,
        ledgers.read(grounds.ledger),
        records(grounds, scripts.nodes),
        scripts.watch,
    )
    figures = _figures(evidence, strikes, scripts, neighbour, seed, lasted)
    figures.still_until = scripts.watch.still_until / 1000 - date
    found = complaints(evidence)
    assert not found, "\n".join([f"seed {seed}:", *found[:40], str(figures)])
    return figures


def _figures(
    evidence: Evidence, strikes: Strikes, scripts: Scripts, neighbour: Neighbour, seed: int, seconds: float
) -> Figures:
    fences = {scripts.nodes[id].name: {record.fence} for id, record in evidence.records.items() if record}
    for name, reruns in evidence.ledger.reruns.items():
        fences.setdefault(name, set()).update(each.fence for each in reruns)
    executions = [each for known in evidence.ledger.executions.values() for each in known]
    return Figures(
        seed,
        seconds,
        jobs=len(scripts.nodes),
        graphs=scripts.graphs,
        executions=len(executions),
        faults=strikes.counts,
        lost=sum(proxy.say("look") for proxy in (*evidence.grounds.proxies, evidence.grounds.scripts)),
        answers=strikes.answers,
        recoveries=len(executions) - len(evidence.ledger.executions),
        stale=sum(
            each.end is not None and each.fence not in fences.get(each.node, ()) for each in executions
        ),
        again=scripts.again,
        reruns=scripts.watch.reruns.total(),
        kept=scripts.watch.kept.total(),
        pools=sum(pool.starts for pool in evidence.grounds.pools),
        ended=sum(len(pool.ends) for pool in evidence.grounds.pools),
        waited=scripts.watch.waited / 1000,
        still=scripts.watch.still / 1000,
        holds=neighbour.served,
    )
