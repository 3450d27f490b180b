"""Submissions that wait a little and go out together."""

from __future__ import annotations

import sys
import threading

import pytest

from xpm.experiment.outbox import BATCH, TURN, Outbox


def held() -> tuple[Outbox[int], threading.Event, list[int]]:
    """An outbox whose first batch, a 1, is on its way until the event is set; and what has gone out."""
    out, hold, sent = threading.Event(), threading.Event(), list[int]()

    def send(batch: list[int]) -> None:
        out.set()
        assert hold.wait(10)
        sent.extend(batch)

    box = Outbox(send)
    box.put(1)
    assert out.wait(5)
    return box, hold, sent


def test_what_is_put_in_goes_out_in_order_and_in_batches():
    batches: list[list[int]] = []
    box = Outbox(batches.append)
    for n in range(3 * BATCH + 7):
        box.put(n)
    box.flush()
    assert [n for batch in batches for n in batch] == list(range(3 * BATCH + 7))
    assert max(map(len, batches)) <= BATCH and len(batches) < 40
    box.put(-1)
    box.flush()
    assert batches[-1] == [-1]
    box.close()


def test_a_single_item_goes_out_by_itself_and_put_never_waits():
    box, hold, _ = held()
    for n in range(10 * BATCH):
        box.put(n)
    hold.set()
    box.flush()
    box.close()


def test_what_sending_raises_is_raised_by_the_next_call():
    def send(batch: list[int]) -> None:
        raise ValueError(batch[0])

    box = Outbox(send)
    box.put(1)
    with pytest.raises(ValueError, match="1"):
        box.flush()
    with pytest.raises(ValueError, match="1"):
        box.put(2)
    box.close()


def test_what_comes_last_is_done_on_the_same_thread_once_all_is_out():
    done: list[object] = []

    def send(batch: list[int]) -> None:
        done.extend([*batch, threading.current_thread().name])

    box = Outbox(send)
    box.flush(last=lambda: done.append(threading.current_thread().name))
    box.put(1)
    box.flush(last=lambda: done.append("last"))
    box.close()
    assert done == ["xpm-outbox", 1, "xpm-outbox", "last"]
    box.flush(last=lambda: done.append(threading.current_thread().name))
    assert done[4:] == [threading.current_thread().name], "nobody else is there any more"


def test_what_is_dropped_stays_here_and_a_batch_under_way_may_end_early():
    out, hold, sent = threading.Event(), threading.Event(), list[int]()

    def send(batch: list[int]) -> None:
        for n in box.going(batch):
            sent.append(n)
            out.set()
            assert hold.wait(10)

    box = Outbox(send)
    box.put(0)
    assert out.wait(5)
    for n in range(1, 10):
        box.put(n)
    assert not box.flush(patience=0.01)
    box.drop()
    assert box.left == list(range(10))
    hold.set()
    assert box.flush(patience=10) and box.close() and sent == [0]


def test_a_batch_that_never_ends_is_left_behind():
    box, hold, _ = held()
    assert not box.close(patience=0.01)
    hold.set()
    assert box.close()


def test_after_a_drop_the_last_is_done_all_the_same():
    box, hold, done = held()
    box.put(2)
    box.drop()
    hold.set()
    assert box.flush(last=lambda: done.append(3), patience=10)
    box.close()
    assert done == [1, 3]


def test_nothing_happens_after_the_end():
    batches: list[list[int]] = []
    box = Outbox(batches.append)
    box.flush()
    box.close()
    box.flush()
    box.close()
    assert batches == []


def test_two_that_send_at_once_leave_the_turns_as_they_were():
    usual = sys.getswitchinterval()
    inside, hold = threading.Barrier(3), threading.Event()

    def send(batch: list[int]) -> None:
        inside.wait(10)
        assert hold.wait(10)

    boxes = [Outbox(send), Outbox(send)]
    for box in boxes:
        box.put(1)
    inside.wait(10)
    hold.set()
    for box in boxes:
        box.close()
    assert sys.getswitchinterval() == usual


def test_others_take_turns_more_often_while_something_goes_out():
    usual, seen = sys.getswitchinterval(), list[float]()
    box = Outbox(lambda batch: seen.append(sys.getswitchinterval()))
    box.put(1)
    box.flush()
    box.close()
    assert seen == [pytest.approx(TURN)] and usual > TURN
    assert sys.getswitchinterval() == usual


def test_what_two_threads_want_last_is_done_for_both():
    box, hold, _ = held()
    done: list[str] = []
    other = threading.Thread(target=box.flush, args=(lambda: done.append("other"),))
    other.start()
    assert not box.flush(lambda: done.append("own"), patience=0.01)
    hold.set()
    assert box.flush(patience=10)
    other.join(10)
    assert sorted(done) == ["other", "own"]
    box.close()
