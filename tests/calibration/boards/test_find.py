"""Boards in rendered pictures: where their corners are, and why there are none."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception.calibration.boards.board import Board, draw_board, parse_board, png_to_print
from perception.calibration.boards.find import Skipped, View, find_view
from perception.core.errors import ConfigError
from tests.calibration.boards import scenes

SMALL = replace(scenes.PINHOLE, width_px=480, height_px=300, fx_px=390, fy_px=390, cx_px=240, cy_px=150)  # fmt: skip
POSE = (
    (rotation := cv2.Rodrigues(np.array([0.25, -0.35, 0.05]))[0]),
    np.array([0.0, 0.0, 0.5]) - rotation @ scenes.BOARD.points.mean(axis=0),
)


def found(image, board=scenes.BOARD):
    view = find_view(image, "picture", board)
    assert isinstance(view, View), view
    return view


@pytest.mark.parametrize("camera", [SMALL, scenes.FISHEYE], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize("board", [scenes.BOARD, scenes.CHARUCO], ids=["chessboard", "charuco"])
def test_corners_lie_where_the_camera_puts_them(camera, board):
    pose = scenes.poses(1, camera, seed=4)[0]
    view = found(scenes.render(camera, pose, board), board)
    true = scenes.project(camera, pose, board.points)
    if (
        board.marker_mm is None
    ):  # a board of 9x6 looks the same from its other end but for its colours
        true = min(true, true[::-1], key=lambda p: np.abs(p - view.corners_px).max())
    off = view.corners_px - true[view.ids]
    assert len(view.ids) >= 50
    assert (
        np.median(np.linalg.norm(off, axis=1)) < 0.1
    )  # a few corners of ChArUco boards are a pixel off
    assert (
        np.abs(np.median(off, axis=0)).max() < 0.03
    )  # half a pixel would be a mistake of convention


def test_a_charuco_board_may_be_seen_in_part():
    image = scenes.render(SMALL, POSE, scenes.CHARUCO)
    whole = found(image, scenes.CHARUCO)
    image[:, int(np.median(whole.corners_px[:, 0])) :] = 110
    part = found(image, scenes.CHARUCO)
    assert 8 <= len(part.ids) < len(whole.ids)
    same = np.isin(whole.ids, part.ids)
    np.testing.assert_allclose(part.points, whole.points[same])


def cut_off(image):
    corners = found(image).corners_px
    first = corners.reshape(6, 9, 2)[:, [0, 8], 0].mean(axis=0).min()
    image[:, : int(first) + 15] = 110


def blur(image):
    image[:] = cv2.GaussianBlur(image, (0, 0), 4.5)


def clear(image):
    image[:] = 110


def mirror(image):
    image[:] = image[:, ::-1].copy()


@pytest.mark.parametrize(
    ("spoil", "board", "reason"),
    [
        pytest.param(cut_off, scenes.BOARD, "corners are seen: cut off, covered, or another board", id="cut off"),
        pytest.param(blur, scenes.BOARD, "blurred: edges are", id="blurred"),
        pytest.param(clear, scenes.BOARD, "no chessboard of 9x6 corners; nor a part of one", id="nothing"),
        pytest.param(mirror, scenes.CHARUCO, "mirrored: ", id="mirrored"),
        pytest.param(clear, scenes.CHARUCO, "no ChArUco board of 9x6 corners: 0 corners and 0 markers", id="no markers"),
    ],
)  # fmt: skip
def test_a_picture_without_a_usable_board_has_its_reason_in_one_line(spoil, board, reason):
    image = scenes.render(SMALL, POSE, board)
    spoil(image)
    skipped = find_view(image, "picture", board)
    assert isinstance(skipped, Skipped)
    assert reason in skipped.reason
    assert "\n" not in skipped.reason


@pytest.mark.parametrize("asked", ["7x5", "8x6", "5x4"])
def test_another_board_is_not_taken_for_the_one_that_was_asked_for(asked):
    board = parse_board(asked, 40.0, charuco=False, marker_mm=None, dictionary="")
    skipped = find_view(scenes.render(SMALL, POSE), "picture", board)
    assert isinstance(skipped, Skipped)
    assert skipped.seen == (9, 6)
    assert "9x6 corners are seen: another board" in skipped.reason


def test_a_mirrored_picture_shows_where_the_board_is_not_its_own_mirror_image():
    odd, even = Board(columns=9, rows=7, square_mm=35.0), scenes.BOARD
    for board, tells in ((odd, True), (even, False)):
        image = scenes.render(SMALL, POSE, board)
        plain, mirrored = found(image, board), found(image[:, ::-1].copy(), board)
        assert (plain.first_dark is not None) == tells
        assert (plain.first_dark != mirrored.first_dark) == tells


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"text": "9"}, "expected COLUMNSxROWS", id="no size"),
        pytest.param({"text": "9x2"}, "at least 3x3", id="too small"),
        pytest.param({"square_mm": -1.0}, "--square-mm: expected more than 0", id="negative"),
        pytest.param({"charuco": True}, "expected --marker-mm", id="no marker"),
        pytest.param({"marker_mm": 20.0}, "--marker-mm is for --charuco", id="marker of a chessboard"),
        pytest.param({"charuco": True, "marker_mm": 30.0}, "expected less than", id="marker too large"),
        pytest.param({"charuco": True, "marker_mm": 9.0, "dictionary": "9x9"}, "expected one of", id="dictionary"),
        pytest.param({"charuco": True, "marker_mm": 9.0, "text": "12x9"}, "has 50 markers, the board needs 65", id="few markers"),
    ],
)  # fmt: skip
def test_a_board_that_cannot_be_is_refused(wrong, told):
    asked = {"text": "9x6", "square_mm": 24.0, "charuco": False, "marker_mm": None, "dictionary": "4x4_50", **wrong}  # fmt: skip
    with pytest.raises(ConfigError, match=told):
        parse_board(asked.pop("text"), asked.pop("square_mm"), **asked)


@pytest.mark.parametrize("board", [scenes.BOARD, scenes.CHARUCO], ids=["chessboard", "charuco"])
def test_a_printed_board_is_found_and_says_its_size(board):
    picture = draw_board(board, 40.0)
    side_px = round(40 / 25.4 * 40)
    assert picture.shape == (9 * side_px, 12 * side_px)
    view = found(np.repeat(picture[..., None], 3, axis=2), board)
    steps = np.linalg.norm(np.diff(view.corners_px.reshape(6, 9, 2), axis=1), axis=-1)
    np.testing.assert_allclose(steps, side_px, atol=0.1)
    data = png_to_print(picture, 40.0)
    assert data[37:41] == b"pHYs"
    assert int.from_bytes(data[41:45], "big") == round(40 / 0.0254)
    again = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(again, picture)


@pytest.mark.parametrize("dpi", [5.0, 30_000.0])
def test_a_board_that_cannot_be_printed_is_refused(dpi):
    with pytest.raises(ConfigError, match="change --dpi"):
        draw_board(scenes.BOARD, dpi)
