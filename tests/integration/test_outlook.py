"""What a script that is left says of its jobs: by their states, and by who wants them still."""

from __future__ import annotations

from hands import Hands, entry, job

from xpm.broker.broker import Broker
from xpm.broker.views import Views
from xpm.experiment.outlook import outlook


def told(broker: Broker, *ids: int, children: tuple[int, ...] = ()) -> tuple[int, str, int]:
    found = outlook(Views(broker), "mine", [job(one) for one in ids], [job(one) for one in children])
    return found.going, str(found), found.children


def test_what_is_stopped_held_back_or_kept_for_others_does_not_go_on(broker: Broker) -> None:
    mine, other = broker.open("mine", "r", "code"), broker.open("other", "r", "code")
    hands = Hands(broker)
    broker.submit(mine, [entry(1)])
    first = hands.claim("one")
    broker.submit(mine, [entry(2, priority=1), entry(3, 2), entry(4), entry(5)])
    assert told(broker, 1, 2, 3, 4, 5) == (5, "", 0)
    broker.submit(other, [entry(4)])
    broker.hold([job(5)])
    assert told(broker, 1, 2, 3, 4, 5) == (5, "", 0), "somebody will let it go"
    broker.cancel(mine.serial, [job(1), job(4)])
    assert told(broker, 1, 2, 4) == (1, "1 stopping, 1 kept for other experiments", 0)
    hands.fail(first, "one")
    second = hands.claim("one")
    assert second.claim and second.claim.id == job(2)
    broker.kill([job(2)])
    assert told(broker, 2, 3) == (1, "1 stopping", 0)
    hands.fail(second, "one")
    assert told(broker, 1, 2, 3, children=(5,)) == (0, "1 failed, 1 on hold, 1 cancelled", 1)
    assert told(broker, 9) == (1, "", 0), "what the broker has lost is submitted again by who comes back"
