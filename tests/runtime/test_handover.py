"""Hand-overs: what is lost and what waits, and that nobody waits for ever."""

import threading
import time

import pytest

from perception.core.errors import InputError, RunError
from perception.runtime.threads.handover import Bounded, Newest

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


# --- several cameras -----------------------------------------------------------------------------------------------------


def drain(link, count):
    return [link.get(LIMIT_S) for _ in range(count)]


@pytest.mark.parametrize(
    "build", [Newest, lambda lanes: Bounded(9, lanes)], ids=["newest", "bounded"]
)
def test_the_lane_that_was_served_longest_ago_comes_next(build):
    link = build(lanes=3)
    for lane in (2, 1, 0):
        link.put(f"{lane}a", lane)
    assert drain(link, 1) == ["0a"]
    link.put("0b", 0)  # it is back at once, and still waits for the others
    assert drain(link, 3) == ["1a", "2a", "0b"]
    link.put("2b", 2)  # the others have nothing: nobody waits for them
    link.put("1b", 1)
    assert drain(link, 2) == ["1b", "2b"]


def test_a_busy_lane_takes_no_place_of_another_one():
    link = Newest(lanes=2)
    link.put("rare", 1)
    for item in range(5):
        link.put(item, 0)
    assert drain(link, 2) == [4, "rare"]
    assert link.dropped == 4


def test_a_full_lane_does_not_make_the_writer_of_another_one_wait():
    link = Bounded(1, lanes=2)
    link.put("full", 0)
    done = threading.Event()
    threading.Thread(target=lambda: (link.put("free", 1), done.set()), daemon=True).start()
    assert done.wait(LIMIT_S)


def test_the_end_of_one_lane_is_not_the_end(link_of_two):
    link_of_two.end(lane=0)
    link_of_two.put("more", 1)
    assert link_of_two.get(LIMIT_S) == "more"
    link_of_two.end(lane=1)
    assert link_of_two.get(LIMIT_S) is None


def test_the_error_of_a_lane_comes_after_its_items_and_does_not_wait_for_the_other_lane(
    link_of_two,
):
    link_of_two.put("before", 1)
    link_of_two.end(InputError("broken"), lane=1)
    link_of_two.put("other", 0)
    assert drain(link_of_two, 2) == ["other", "before"]
    link_of_two.put("other again", 0)
    with pytest.raises(InputError, match="broken"):
        link_of_two.get(LIMIT_S)


@pytest.fixture
def link_of_two():
    return Bounded(4, lanes=2)
