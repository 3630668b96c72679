"""Which views and corners are kept, and what is said of those that do not suffice."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception.calibration.boards.choose import choose, covered, warnings
from perception.calibration.boards.find import Skipped, View
from perception.calibration.boards.fit import Model
from perception.calibration.boards.gather import Gathered
from perception.calibration.boards.uncertainty import calibrate_views, leave_out
from perception.core.errors import InputError
from tests.calibration.boards import scenes

SIZE = scenes.PINHOLE.size_wh
BLANK = np.zeros((400, 640, 3), np.uint8)


def views(count=12, sigma_px=0.1):
    return scenes.noisy_views(scenes.PINHOLE, scenes.poses(count, scenes.PINHOLE), sigma_px)


def moved(view, by_px):
    return replace(view, corners_px=(view.corners_px + by_px).astype(np.float32))


def test_a_view_whose_corners_are_counted_wrongly_is_rejected_with_the_reason():
    bad = views()
    grid = bad[4].corners_px.reshape(6, 9, 2)
    bad[4] = replace(bad[4], corners_px=np.roll(grid, 1, axis=1).reshape(-1, 2))
    choice = choose(bad, SIZE, Model())
    assert [s.name for s in choice.rejected] == ["view 4"]
    assert "does not fit the others: rms" in choice.rejected[0].reason
    assert len(choice.views) == 11
    assert choice.fit.rms_px < 0.2
    kept = choose(bad, SIZE, Model(), keep_all=True)
    assert len(kept.views) == 12
    assert kept.fit.rms_px > 1


def test_a_view_from_a_flipped_picture_is_named_so_where_it_cannot_fit():
    camera = replace(
        scenes.PINHOLE, cx_px=410.0
    )  # far from the middle: its mirror image is another camera's
    poses = scenes.poses(12, camera)
    mixed = scenes.noisy_views(camera, poses, 0.02)
    flipped = mixed[3].corners_px * (-1, 1) + (639, 0)
    order = np.arange(54).reshape(6, 9)[:, ::-1].ravel()  # found from its other end
    mixed[3] = replace(mixed[3], corners_px=flipped[order].astype(np.float32))
    rejected = choose(mixed, SIZE, Model()).rejected
    assert [s.name for s in rejected] == ["view 3"]


def test_a_corner_far_off_is_rejected_and_the_view_kept():
    bad = views()
    off = np.zeros((54, 2))
    off[20] = (3.0, -2.0)
    bad[2] = moved(bad[2], off)
    choice = choose(bad, SIZE, Model())
    assert choice.rejected == ()
    assert choice.corners == 1
    assert 20 not in choice.views[2].ids
    np.testing.assert_allclose(choice.fit.rms_px, 0.14, atol=0.01)


def test_nothing_is_rejected_from_views_that_err_normally():
    choice = choose(views(20), SIZE, Model())
    assert (choice.rejected, choice.corners, len(choice.views)) == ((), 0, 20)


def test_good_views_are_not_warned_of():
    choice = choose(views(14, 0.01), SIZE, Model())
    assert covered(choice.views, SIZE).mean() > 0.6
    assert warnings(choice, choice.fit.sigmas, scenes.BOARD) == []


@pytest.mark.parametrize(
    ("turn_by", "shift_by", "told"),
    [
        pytest.param(0.05, 1.0, "0 boards tilted by more than 20 deg", id="no tilt"),
        pytest.param(1.0, 0.1, "of the picture only; hardly any near its left, right", id="middle"),
    ],
)
def test_what_the_views_do_not_constrain_is_said(turn_by, shift_by, told):
    rng = np.random.default_rng(0)
    middle = scenes.BOARD.points.mean(axis=0)
    poses = []
    for _ in range(12):
        rotation = cv2.Rodrigues(turn_by * rng.uniform(-0.6, 0.6, 3))[0]
        shift = np.append(shift_by * rng.uniform(-0.12, 0.12, 2), rng.uniform(0.75, 0.85))
        poses.append((rotation, shift - rotation @ middle))
    choice = choose(scenes.noisy_views(scenes.PINHOLE, poses, 0.3), SIZE, Model())
    left = leave_out(choice.views, choice.fit)
    lines = warnings(choice, np.fmax(choice.fit.sigmas, left.sigmas), scenes.BOARD)
    assert any(told in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_leaving_views_out_names_each_and_groups_many():
    few = choose(views(6), SIZE, Model())
    left = leave_out(few.views, few.fit)
    assert left.names == tuple(view.name for view in few.views)
    many = choose(views(40), SIZE, Model())
    left = leave_out(many.views, many.fit)
    assert len(left.values) == 30
    assert sum(name.count("view") for name in left.names) == 40
    # of the size of the formula's where corners do err independently
    ratio = left.sigmas / many.fit.sigmas
    assert 0.5 < np.median(ratio) < 2


def test_three_views_have_no_jackknife():
    choice = choose(views(3), SIZE, Model())
    assert np.isnan(leave_out(choice.views, choice.fit).sigmas).all()
    done = calibrate_views(gathered(choice.views), scenes.BOARD, Model())
    np.testing.assert_array_equal(done.sigmas, done.fit.sigmas)
    assert any("only 3 views" in line for line in done.warnings)


def gathered(good, skipped=()):
    return Gathered(tuple(good), tuple(skipped), SIZE, BLANK, len(good) + len(skipped))


@pytest.mark.parametrize(
    ("good", "seen", "told"),
    [
        pytest.param(0, [(8, 5)] * 6 + [(4, 4)], "0 of 7 pictures show .* 6 show 8x5: is it --board 8x5", id="another size"),
        pytest.param(1, [(9, 6)] * 3, "1 of 4 pictures show .*: no reason", id="spoilt"),
        pytest.param(2, [], "2 of 2 pictures show .*take more", id="too few"),
    ],
)  # fmt: skip
def test_too_few_views_say_what_was_seen_instead(good, seen, told):
    skipped = [Skipped(f"{i}", "no reason", size) for i, size in enumerate(seen)]
    with pytest.raises(InputError, match=told) as error:
        calibrate_views(gathered(views(3)[:good], skipped), scenes.BOARD, Model())
    assert "\n" not in str(error.value)


def test_a_view_without_some_corners_keeps_their_order():
    view = views(3)[0]
    part = view.without(view.ids % 2 == 0)
    assert isinstance(part, View)
    np.testing.assert_array_equal(part.ids, np.arange(1, 54, 2))
    np.testing.assert_array_equal(part.points, scenes.BOARD.points[1::2])
