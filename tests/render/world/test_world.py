import math
from itertools import pairwise
from types import SimpleNamespace

import pytest

from perception.render.config import DriveConfig
from perception.render.world.world import World

DRIVES = [("town", 0), ("country", 5), ("mixed", 107), ("town", 2), ("town", 110)]
EGO = SimpleNamespace(size_lwh_m=(4.5, 1.82, 1.5), kind="car", key=0, identity=0)
DRIVERS = {"car", "truck", "bus", "cyclist"}


@pytest.fixture(scope="module", params=DRIVES, ids=lambda drive: f"{drive[0]}-{drive[1]}")
def drive(request):
    """A world and its snapshots, five a second."""
    place, seed = request.param
    world = World(DriveConfig(place=place, seed=seed))
    return world, [world.at(k / 5) for k in range(101)]


def described(snapshot):
    return [
        (thing.key, thing.kind, thing.identity, thing.size_lwh_m, state)
        for thing, state in snapshot.things
    ] + [snapshot.ego]


def corners(thing, state):
    length, width, _ = thing.size_lwh_m
    c, s = math.cos(state.yaw_rad), math.sin(state.yaw_rad)
    ends = [(length / 2, width / 2), (length / 2, -width / 2)]
    ends += [(-x, -y) for x, y in ends]
    return [(state.x_m + c * x - s * y, state.y_m + s * x + c * y) for x, y in ends]


def overlap(first, second):
    """Whether two rectangles share a place: no side of either separates them."""
    for box in (first, second):
        for k in (0, 1):
            axis = (box[k][0] - box[k + 1][0], box[k][1] - box[k + 1][1])
            a = [x * axis[0] + y * axis[1] for x, y in first]
            b = [x * axis[0] + y * axis[1] for x, y in second]
            if max(a) <= min(b) or max(b) <= min(a):
                return False
    return True


def test_vehicles_do_not_overlap_anybody(drive):
    _, snapshots = drive
    for snapshot in snapshots:
        who = [(EGO, snapshot.ego)] + [(t, s) for t, s in snapshot.things if t.identity]
        boxes = [(t, s, corners(t, s)) for t, s in who]
        for i, (thing, state, box) in enumerate(boxes):
            for other, there, other_box in boxes[i + 1 :]:
                near = abs(state.x_m - there.x_m) < 14 and abs(state.y_m - there.y_m) < 14
                if near and (thing.kind in DRIVERS or other.kind in DRIVERS):
                    assert not overlap(box, other_box), (snapshot.time_s, thing.key, other.key)


def test_nobody_is_there_twice(drive):
    _, snapshots = drive
    for snapshot in snapshots:
        identities = [thing.identity for thing, _ in snapshot.things if thing.identity]
        keys = [thing.key for thing, _ in snapshot.things]
        assert len(identities) == len(set(identities))
        assert len(keys) == len(set(keys))


def test_things_come_and_go_where_the_camera_does_not_see_it(drive):
    _, snapshots = drive
    for before, after in pairwise(snapshots):
        was = {thing.key: state for thing, state in before.things}
        now = {thing.key: state for thing, state in after.things}
        for key in was.keys() ^ now.keys():
            state = now.get(key) or was[key]
            ahead = state.x_m - after.ego.x_m
            assert ahead < -8.0 or ahead > 120.0


def test_things_move_as_fast_as_they_say(drive):
    _, snapshots = drive
    for before, after in pairwise(snapshots):
        was = {thing.key: state for thing, state in before.things}
        pairs = [(was[t.key], s) for t, s in after.things if t.identity and t.key in was]
        for then, now in [*pairs, (before.ego, after.ego)]:
            moved = math.hypot(now.x_m - then.x_m, now.y_m - then.y_m)
            assert moved == pytest.approx(0.1 * (then.speed_mps + now.speed_mps), abs=0.25)


def test_ego_keeps_to_its_side_and_gets_on(drive):
    world, snapshots = drive
    for snapshot in snapshots:
        ego = snapshot.ego
        half = 0.91 / math.cos(world.road.heading(ego.x_m))
        assert ego.y_m + half < world.road.centre(ego.x_m)
        assert abs(ego.yaw_rad - world.road.heading(ego.x_m)) < 0.3
    assert snapshots[-1].ego.x_m - snapshots[0].ego.x_m > 40.0


def test_what_happens_does_not_depend_on_the_frame_rate():
    slow, fast = (World(DriveConfig(fps=fps, duration_s=4.0)) for fps in (10.0, 30.0))
    frames = [fast.at(k / 30) for k in range(121)]

    for k in range(41):
        assert described(slow.at(k / 10)) == described(frames[3 * k])


def test_a_drive_can_begin_anywhere_and_go_back():
    config = DriveConfig(seed=4, duration_s=6.0)
    world, other = World(config), World(config)
    first = [described(world.at(k / 2)) for k in range(12)]

    assert described(other.at(5.0)) == first[10]
    assert described(other.at(1.5)) == first[3]
    assert described(World(config).at(5.5)) == first[11]


def test_seeds_differ_and_casts_stay():
    one, two = (World(DriveConfig(seed=seed)).at(0.0) for seed in (0, 1))
    cast = [{t.identity: dict(t.attributes) for t, _ in s.things if t.identity} for s in (one, two)]

    assert described(one) != described(two)
    both = cast[0].keys() & cast[1].keys()
    assert both
    assert all(cast[0][identity] == cast[1][identity] for identity in both)


def test_streets_are_as_busy_as_asked():
    quiet = World(DriveConfig(place="town", vehicles=0, people=0)).at(2.0)
    busy = World(DriveConfig(place="town", vehicles=14, people=20)).at(2.0)

    moving = [t.kind for t, s in quiet.things if t.identity and s.speed_mps > 0]
    assert moving == []
    kinds = [t.kind for t, s in busy.things if s.speed_mps > 0]
    assert kinds.count("car") > 5
    assert sum(t.kind == "person" for t, _ in busy.things) > 8


def test_people_cross_while_the_ego_waits():
    world = World(DriveConfig(place="town", seed=1))
    stood = crossed = 0
    for k in range(101):
        snapshot = world.at(k / 5)
        for thing, state in snapshot.things:
            lateral = (state.y_m - world.road.centre(state.x_m)) * math.cos(
                world.road.heading(state.x_m)
            )
            if thing.kind == "person" and abs(lateral) < world.road.lane_width_m:
                crossed += 1
                stood += snapshot.ego.speed_mps < 3.0
                gaps = [abs(state.x_m - j.crossing_m[0] - 1.8) for j in world.road.junctions]
                assert min(gaps) < 2.0
    assert crossed > 10
    assert stood > 0
