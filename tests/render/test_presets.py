"""Varied drives are varied, the same for the same seed, and mostly by day; the demo is what the project says it is."""

from collections import Counter

import pytest

from perception.render.presets import SOURCE_DRIVE, demo_drive, sheet_drives, varied_drive

DRIVES = [varied_drive(seed) for seed in range(400)]


def test_a_seed_gives_one_drive():
    assert varied_drive(5) == varied_drive(5)
    assert len({repr(drive) for drive in DRIVES}) == len(DRIVES)
    assert [drive.seed for drive in DRIVES[:3]] == [0, 1, 2]


def test_places_light_and_weather_come_in_usual_shares():
    places = Counter(drive.place for drive in DRIVES)
    assert places["town"] > places["mixed"] > places["country"] > 60
    suns = [drive.light.elevation_deg for drive in DRIVES]
    assert 0.55 < sum(sun >= 18 for sun in suns) / len(suns) < 0.75
    assert sum(sun < -5 for sun in suns) > 15
    assert 25 < sum(drive.weather.rain > 0 for drive in DRIVES) < 90
    assert 10 < sum(drive.weather.visibility_m < 350 for drive in DRIVES) < 50


def test_cameras_are_those_that_cars_have():
    for drive in DRIVES:
        assert drive.camera.size_wh == (1248, 384)
        assert 50 < drive.camera.horizontal_fov_deg < 100
        assert 1.1 < drive.camera.height_m < 1.8
        assert -7 < drive.camera.pitch_deg < 2
        assert drive.camera.file == ""


def test_the_country_has_less_traffic_than_the_town():
    mean = {
        place: sum(d.vehicles + d.people for d in of) / len(of)
        for place in ("town", "country")
        for of in [[d for d in DRIVES if d.place == place]]
    }
    assert mean["country"] < mean["town"] - 3


def test_the_demo_is_20_s_from_town_to_country_into_dusk():
    drive = demo_drive()
    assert (drive.duration_s, drive.fps, drive.frames, drive.place) == (20, 10, 200, "mixed")
    assert drive.light.elevation_deg > 10
    assert drive.light.end_elevation_deg < 0


def test_the_drive_that_loops_is_of_a_rate_for_work_on_latency():
    assert (SOURCE_DRIVE.fps, SOURCE_DRIVE.frames) == (30, 300)
    assert SOURCE_DRIVE.camera.size_wh == (1248, 384)


def test_the_contact_sheet_has_twelve_scenes_of_all_kinds():
    scenes = sheet_drives()
    assert len({caption for caption, *_ in scenes}) == len(scenes) == 12
    assert {drive.place for _, drive, _ in scenes} == {"town", "country", "mixed"}
    assert all(0 <= share < 1 for *_, share in scenes)
    assert any(drive.weather.rain for _, drive, _ in scenes)
    assert min(drive.light.elevation_deg for _, drive, _ in scenes) == pytest.approx(-16)
