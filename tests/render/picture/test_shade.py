from dataclasses import replace

import numpy as np
import pytest

from perception.render.config import LightConfig, OpticsConfig, WeatherConfig
from perception.render.picture.optics import develop
from perception.render.picture.shade import shade_picture
from perception.render.records import CityId, Marking

WEATHERS = {
    "clear": WeatherConfig(clouds=0.0),
    "rain": WeatherConfig(clouds=1.0, rain=1.0, visibility_m=600.0),
    "thick fog": WeatherConfig(clouds=1.0, visibility_m=1.0),
}


def picture(scene):
    inputs = scene.inputs
    linear = shade_picture(inputs)
    labels = scene.labels
    return develop(linear, labels.flow_px, inputs.light, inputs.config, inputs.index)


@pytest.mark.parametrize("weather", WEATHERS.values(), ids=WEATHERS)
@pytest.mark.parametrize("elevation_deg", [90.0, 1.0, -4.0, -40.0])
@pytest.mark.parametrize("place", ["town", "country"])
def test_light_is_finite_and_not_negative(make_scene, weather, elevation_deg, place):
    scene = make_scene(
        weather=weather, light=LightConfig(elevation_deg=elevation_deg, azimuth_deg=5), place=place
    )
    linear = shade_picture(scene.inputs)
    assert linear.shape == (96, 312, 3)
    assert linear.dtype == np.float32
    assert np.isfinite(linear).all()
    assert linear.min() >= -1e-4


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("size_wh", [(33, 21), (311, 97)])
def test_any_size_of_picture_can_be_shaded(make_scene, empty, size_wh):
    scene = make_scene(empty=empty, size_wh=size_wh, weather=WEATHERS["rain"])
    image = picture(scene)
    assert image.shape == (size_wh[1], size_wh[0], 3)
    assert image.dtype == np.uint8


def test_the_same_frame_is_the_same_picture_and_another_index_another(make_scene):
    first, again, later = (
        picture(make_scene(index=i, weather=WEATHERS["rain"])) for i in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_night_is_darker_than_dusk_and_dusk_darker_than_day(make_scene):
    means = [
        picture(make_scene(light=LightConfig(elevation_deg=e))).mean() for e in (40.0, -3.0, -20.0)
    ]
    assert means[0] > means[1] + 8 > means[2] + 16
    assert means[2] > 15


def test_fog_takes_contrast_from_what_is_far(make_scene):
    def contrast(visibility_m, near, far):
        scene = make_scene(empty=True, weather=WeatherConfig(visibility_m=visibility_m))
        linear = shade_picture(scene.inputs).mean(axis=2)
        depth = scene.labels.depth_m
        part = (depth > near) & (depth < far) & (scene.labels.class_ids == CityId.ROAD)
        fog = scene.inputs.light.fog.mean()
        return abs(linear[part].mean() - fog)

    assert contrast(80.0, 50, 80) < 0.35 * contrast(5000.0, 50, 80)
    assert contrast(80.0, 3, 6) > 0.6 * contrast(5000.0, 3, 6)


def test_markings_are_brighter_than_the_road_beside_them(make_scene):
    scene = make_scene(empty=True, size_wh=(1248, 384), weather=WeatherConfig(clouds=1.0))
    linear = shade_picture(scene.inputs).mean(axis=2)
    near = (scene.labels.depth_m > 4) & (scene.labels.depth_m < 15)
    painted = near & (scene.labels.lanes != Marking.NONE)
    plain = near & (scene.labels.lanes == Marking.NONE) & (scene.labels.class_ids == CityId.ROAD)
    assert painted.any()
    assert np.percentile(linear[painted], 15) > np.percentile(linear[plain], 95)


def test_the_sun_throws_shadows_and_clouds_do_not(make_scene):
    def darkest(clouds):
        weather = WeatherConfig(clouds=clouds)
        light = LightConfig(elevation_deg=35, azimuth_deg=100)
        full = make_scene(weather=weather, light=light)
        bare = make_scene(weather=weather, light=light, empty=True)
        both = full.inputs.ground.seen & (full.labels.class_ids == CityId.ROAD)
        share = shade_picture(full.inputs)[both].mean(axis=1) / shade_picture(bare.inputs)[
            both
        ].mean(axis=1)
        return (share < 0.6).mean()

    assert darkest(0.0) > darkest(1.0) + 0.01


def test_wet_roads_mirror_the_sky(make_scene):
    dry, wet = (
        make_scene(empty=True, weather=WeatherConfig(clouds=1.0, rain=rain)) for rain in (0.0, 0.6)
    )
    far = (
        (dry.labels.depth_m > 15)
        & (dry.labels.depth_m < 40)
        & (dry.labels.class_ids == CityId.ROAD)
    )
    assert shade_picture(wet.inputs)[far].mean() > 1.2 * shade_picture(dry.inputs)[far].mean()


def test_braking_lamps_are_brighter(make_scene):
    scene = make_scene()
    faces = scene.inputs.faces
    braking = replace(scene.inputs, faces=replace(faces, braking=np.ones_like(faces.braking)))
    assert shade_picture(braking)[..., 2].max() > shade_picture(scene.inputs)[..., 2].mean()
    changed = shade_picture(braking)[..., 2] - shade_picture(scene.inputs)[..., 2]
    assert changed.max() > 0.3


def test_every_pixel_is_shaded_by_what_its_label_says(make_scene):
    scene = make_scene(light=LightConfig(elevation_deg=-30), optics=OpticsConfig(supersampling=2))
    linear = shade_picture(scene.inputs).mean(axis=2)
    lamp = scene.labels.class_ids == CityId.POLE
    assert linear[lamp].min() > 20 * np.median(linear[scene.labels.class_ids == CityId.SKY])
