"""The contact sheet: every scene with its labels, in one small picture."""

import cv2
import numpy as np
import pytest

from perception.core.errors import OutputError
from perception.render.records import CityId
from perception.render.show import sheet
from perception.render.show.sheet import (
    CLASS_BGR,
    MARKING_BGR,
    PANEL_WIDTH,
    class_colours,
    depth_colours,
    draw_panel,
    write_sheet,
)
from tests.render.factories import RENDERER, drive_config, make_rendered

SCENES = [(f"scene {k}", drive_config(4, seed=k), k / 5) for k in range(5)]


def test_the_sheet_holds_every_scene_and_stays_small(tmp_path):
    path = tmp_path / "new" / "sheet.jpg"
    seen = []
    size = write_sheet(path, SCENES, renderer=RENDERER, progress=lambda *told: seen.append(told))
    assert size == path.stat().st_size < 400_000
    assert seen[-1] == (5, 5)
    picture = cv2.imread(str(path))
    panel = draw_panel(make_rendered(0), "scene 0")
    assert picture.shape[1] == 3 * PANEL_WIDTH + 2 * sheet.GAP
    assert picture.shape[0] == 2 * panel.shape[0] + sheet.GAP
    shown = picture[: panel.shape[0], :PANEL_WIDTH].astype(int)
    assert np.abs(shown - panel).mean() < 8  # JPEG
    assert picture[-20:, -20:].min() > 240  # the place of a sixth scene is empty


def test_what_does_not_fit_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "MAX_BYTES", 500)
    with pytest.raises(OutputError, match="does not fit into 500 bytes"):
        write_sheet(tmp_path / "a.jpg", SCENES[:1], renderer=RENDERER)


def test_a_panel_shows_picture_labels_and_depth_below_each_other():
    panel = draw_panel(make_rendered(1), "a caption")
    height = round(64 * PANEL_WIDTH / 96)
    assert panel.shape == (3 * height, PANEL_WIDTH, 3)


def test_every_class_has_a_colour_of_its_own_and_markings_are_white():
    assert set(CLASS_BGR) == set(CityId)
    assert len(set(CLASS_BGR.values())) == len(CLASS_BGR)
    labels = make_rendered(2).labels
    colours = class_colours(labels)
    assert (colours[labels.lanes > 0] == MARKING_BGR).all()
    free = labels.lanes == 0
    for one in np.unique(labels.class_ids[free]):
        assert (colours[free & (labels.class_ids == one)] == CLASS_BGR[CityId(one)]).all()


def test_near_is_red_far_is_blue_and_the_sky_black():
    near, far, sky = depth_colours(np.array([[4, 140, 0]], np.float32))[0].tolist()
    assert near[2] > 100 > near[0]
    assert far[0] > far[2]
    assert sky == [0, 0, 0]
