import math

import numpy as np
import pytest

from perception.render.config import DriveConfig
from perception.render.records import CityId, Marking
from perception.render.world.chance import Chance
from perception.render.world.markings import Line
from perception.render.world.road import Road

PLACES = ("town", "country", "mixed")


@pytest.fixture(scope="module", params=[(place, seed) for place in PLACES for seed in (0, 1)])
def road(request):
    place, seed = request.param
    return Road(DriveConfig(place=place, seed=seed))


def random_places(count, dtype=np.float64):
    chance = Chance("places")
    along = np.array([chance.uniform(-100.0, 800.0) for _ in range(count)], dtype)
    lateral = np.array([chance.uniform(-25.0, 25.0) for _ in range(count)], dtype)
    return along, lateral


def covers(line: Line, along: float, lateral: float) -> bool:
    """Slow and simple: whether a painted rectangle covers a place."""
    (start, end), (right, left) = line.along_m, line.lateral_m
    if not (start <= along < end and right <= lateral < left):
        return False
    since = lateral - right if line.across else along - start
    return not line.period_m or since % line.period_m < line.dash_m


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-3), (np.float32, 2e-3)])
def test_locate_inverts_place(road, dtype, within):
    along, lateral = random_places(500)
    world = np.array([road.place(*at) for at in zip(along.tolist(), lateral.tolist(), strict=True)])

    found_along, found_lateral = road.locate(world[:, 0].astype(dtype), world[:, 1].astype(dtype))

    assert found_along.dtype == found_lateral.dtype == dtype
    np.testing.assert_allclose(found_along, along, atol=1e-4)
    np.testing.assert_allclose(found_lateral, lateral, atol=within)


def test_heading_is_the_slope_of_the_centre_and_stays_below_25_degrees(road):
    for along in range(-150, 900, 7):
        slope = (road.centre(along + 0.01) - road.centre(along - 0.01)) / 0.02
        assert math.tan(road.heading(float(along))) == pytest.approx(slope, abs=1e-6)
        assert abs(math.degrees(road.heading(float(along)))) < 25


def test_functions_of_arrays_are_those_of_numbers(road):
    along = np.linspace(-50.0, 400.0, 60)

    for function in (road.centre, road.heading, road.edge_m, road.is_town):
        np.testing.assert_allclose(function(along), [function(float(x)) for x in along])


def test_marking_is_what_lines_say(road):
    for line in road.lines():  # around the places where something changes
        chance = Chance("around", round(line.along_m[0] * 100), round(line.lateral_m[0] * 100))
        along = [chance.uniform(a - 0.6, a + 0.6) for a in line.along_m for _ in range(4)]
        along += [chance.uniform(*line.along_m) for _ in range(6)]
        lateral = [chance.uniform(line.lateral_m[0], line.lateral_m[1]) for _ in along]
        found = road.marking(np.array(along), np.array(lateral))
        for x, y, kind in zip(along, lateral, found.tolist(), strict=True):
            on = [other.kind for other in road.lines() if covers(other, x, y)]
            assert kind == (on[-1] if on else Marking.NONE)


def test_markings_are_on_road_surface(road):
    along, lateral = np.meshgrid(np.arange(-50.0, 600.0, 0.21), np.arange(-16.0, 16.0, 0.17))

    painted = road.marking(along, lateral) > 0
    surface = road.surface(along, lateral)

    assert painted.any()
    assert (surface[painted] == CityId.ROAD).all()


def test_surface_follows_edge_and_town(road):
    along, lateral = random_places(3000)
    surface = road.surface(along, lateral)
    inside = np.abs(lateral) <= road.edge_m(along)

    assert (surface[inside] == CityId.ROAD).all()
    assert set(np.unique(surface)) <= {CityId.ROAD, CityId.SIDEWALK, CityId.TERRAIN}
    walk = along[surface == CityId.SIDEWALK]
    assert (walk < road.town_end_m).all()


def test_surface_of_side_roads(road):
    for junction in road.junctions[:4]:
        for side, there in ((1, junction.left), (-1, junction.right)):
            along = np.array([junction.along_m, junction.along_m + junction.half_width_m - 0.1])
            far = np.full(2, side * (road.edge_m(junction.along_m) + road.pavement_m + 3.0))
            assert ((road.surface(along, far) == CityId.ROAD) == there).all()


def test_float32_answers_as_float64_does_away_from_edges(road):
    along, lateral = random_places(3000, np.float32)

    same = road.surface(along, lateral) == road.surface(
        along.astype(np.float64), lateral.astype(np.float64)
    )

    assert same.mean() > 0.999


def test_empty_arrays_are_fine(road):
    none = np.zeros((0, 3), np.float32)

    assert road.surface(none, none).shape == (0, 3)
    assert road.marking(none, none).shape == (0, 3)


def test_mixed_road_leads_from_town_to_country():
    road = Road(DriveConfig(place="mixed", duration_s=30.0))

    assert road.is_town(0.0)
    assert not road.is_town(road.town_end_m + 1.0)
    assert 60.0 < road.town_end_m < 300.0
    assert road.edge_m(0.0) > road.edge_m(road.town_end_m + 30.0)
