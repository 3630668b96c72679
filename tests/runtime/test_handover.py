"""Hand-overs: what is lost and what waits, and that nobody waits for ever."""

import threading
import time

import pytest

from perception.core.errors import InputError, RunError
from perception.runtime.handover import Bounded, Newest

LIMIT_S = 2.0


@pytest.fixture(params=["newest", "bounded"])
def link(request):
    return Newest() if request.param == "newest" else Bounded(2)


def test_items_come_out_in_order_and_then_the_end(link):
    for item in range(3):
        assert link.put(item)
        assert link.get(LIMIT_S) == item
    link.end()
    assert link.get(LIMIT_S) is None
    assert link.dropped == 0


def test_the_writers_error_comes_after_what_it_wrote(link):
    link.put(1)
    link.end(InputError("damaged"))
    assert link.get(LIMIT_S) == 1
    with pytest.raises(InputError, match="damaged"):
        link.get(LIMIT_S)


def test_a_wait_for_an_item_ends_with_an_error_at_its_limit(link):
    with pytest.raises(RunError, match=r"nothing came for 0\.05 s"):
        link.get(0.05)


def test_a_cancelled_hand_over_takes_nothing_and_gives_nothing(link):
    link.put(1)
    link.cancel()
    assert not link.put(2)
    assert link.get(LIMIT_S) is None


@pytest.mark.parametrize("wake", ["put", "end", "cancel"])
def test_a_waiting_reader_is_woken(link, wake):
    calls = {"put": lambda: link.put(5), "end": link.end, "cancel": link.cancel}
    threading.Timer(0.02, calls[wake]).start()
    began_s = time.monotonic()
    assert link.get(LIMIT_S) == (5 if wake == "put" else None)
    assert time.monotonic() - began_s < 0.4  # woken, not found by looking up


def test_newest_keeps_the_last_item_and_counts_the_others():
    link = Newest()
    for item in range(5):
        link.put(item)
    assert link.get(LIMIT_S) == 4
    assert link.dropped == 4


def test_the_writer_of_newest_never_waits():
    link = Newest()
    began_s = time.monotonic()
    for item in range(1000):
        link.put(item)
    assert time.monotonic() - began_s < 0.5


@pytest.mark.parametrize("free", ["get", "cancel"])
def test_the_writer_of_a_full_queue_waits_until_the_reader_acts(free):
    link = Bounded(2)
    link.put(0)
    link.put(1)
    done = threading.Event()
    writer = threading.Thread(target=lambda: (link.put(2), done.set()), daemon=True)
    writer.start()
    assert not done.wait(0.05)
    if free == "get":
        assert link.get(LIMIT_S) == 0
    else:
        link.cancel()
    assert done.wait(0.4)
    writer.join(LIMIT_S)


def test_a_queue_loses_nothing_between_two_threads():
    link = Bounded(2)

    def write():
        for item in range(500):
            link.put(item)
        link.end()

    threading.Thread(target=write, daemon=True).start()
    got = []
    while (item := link.get(LIMIT_S)) is not None:
        got.append(item)
    assert got == list(range(500))
