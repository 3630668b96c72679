"""Views from folders, lists, recordings and cameras."""

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from perception.calibration.boards import gather
from perception.calibration.boards.board import Board
from perception.calibration.boards.find import Skipped, View
from perception.calibration.boards.gather import (
    from_pictures,
    from_source,
    is_pictures,
    picture_paths,
)
from perception.core.errors import InputError
from perception.sources.base import Picture, Source
from tests.calibration.boards import scenes

CAMERA = replace(scenes.PINHOLE, width_px=480, height_px=300, fx_px=390, fy_px=390, cx_px=240, cy_px=150)  # fmt: skip
BOARD = scenes.BOARD


def _pictures(count):
    return [scenes.render(CAMERA, pose, seed=i) for i, pose in enumerate(scenes.poses(count, CAMERA))]  # fmt: skip


PICTURES = _pictures(5)


@pytest.fixture
def folder(tmp_path):
    for i, picture in enumerate(PICTURES):
        cv2.imwrite(str(tmp_path / f"board{i}.png"), picture)
    return tmp_path


def reasons(gathered):
    return {skipped.name: skipped.reason for skipped in gathered.skipped}


def test_a_folder_a_pattern_and_a_list_name_the_same_pictures(folder):
    (folder / "notes.txt").write_text("not a picture")
    wanted = [folder / f"board{i}.png" for i in range(5)]
    listed = [str(path) for path in wanted]
    assert picture_paths([str(folder)]) == wanted
    assert picture_paths([f"{folder}/board*.png"]) == wanted
    assert picture_paths(listed) == wanted
    assert picture_paths([*listed, str(folder)]) == wanted
    assert all(map(is_pictures, ([str(folder)], [f"{folder}/board*.png"], listed, listed[:1])))
    assert not any(map(is_pictures, (["camera:0"], ["drive.mp4"], ["rtsp://front/"])))
    with pytest.raises(InputError, match="no pictures there"):
        picture_paths([f"{folder}/nothing*.png"])


def test_every_view_of_a_folder_is_found(folder):
    gathered = from_pictures(picture_paths([str(folder)]), BOARD)
    assert [view.name for view in gathered.views] == [f"board{i}.png" for i in range(5)]
    assert (gathered.skipped, gathered.size_wh, gathered.looked) == ((), (480, 300), 5)


def test_pictures_nearly_of_the_others_size_and_damaged_ones_are_skipped(folder):
    cv2.imwrite(str(folder / "board1.png"), cv2.copyMakeBorder(PICTURES[1], 0, 1, 0, 2, cv2.BORDER_REPLICATE))  # fmt: skip
    (folder / "board2.png").write_bytes(b"no picture")
    gathered = from_pictures(picture_paths([str(folder)]), BOARD)
    assert reasons(gathered)["board1.png"] == "is 482x301, the others 480x300"
    assert "not a picture" in reasons(gathered)["board2.png"]
    assert len(gathered.views) == 3


def test_pictures_of_another_size_refuse_the_lot(folder):
    cv2.imwrite(str(folder / "board1.png"), PICTURES[1][:, :477])
    with pytest.raises(InputError, match="4 of 480x300, 1 of 477x300") as told:
        from_pictures(picture_paths([str(folder)]), BOARD)
    assert "\n" not in str(told.value)


def test_one_picture_is_refused(folder):
    with pytest.raises(InputError, match="one picture only"):
        from_pictures([folder / "board0.png"], BOARD)


def test_a_view_more_blurred_than_the_others_is_skipped(folder):
    cv2.imwrite(str(folder / "board1.png"), cv2.GaussianBlur(PICTURES[1], (0, 0), 2.4))
    gathered = from_pictures(picture_paths([str(folder)]), BOARD)
    assert list(reasons(gathered)) == ["board1.png"]
    assert "blurred: edges are" in reasons(gathered)["board1.png"]


def test_a_mirrored_picture_is_skipped_where_the_board_shows_it(tmp_path):
    board = Board(columns=9, rows=7, square_mm=35.0)
    for i, pose in enumerate(scenes.poses(4, CAMERA, board=board)):
        picture = scenes.render(CAMERA, pose, board)
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture[:, ::-1] if i == 2 else picture)
    gathered = from_pictures(picture_paths([str(tmp_path)]), board)
    assert list(reasons(gathered)) == ["2.png"]
    assert (
        "mirrored: black and white are exchanged against 3 other views"
        in reasons(gathered)["2.png"]
    )


class Held(Source):
    """A live camera before which each picture is held for some frames, and then taken away."""

    live = True
    fps = 30.0

    def __init__(self, pictures, frames=3, interrupted=False):
        super().__init__("camera:0")
        self.size_wh = (480, 300)
        self._shown = [p for picture in pictures for p in [*[picture] * frames, np.full_like(picture, 110)]]  # fmt: skip
        self._interrupted = interrupted

    def _pictures(self):
        for picture in self._shown:
            yield Picture(picture, 0, None)
        if self._interrupted:
            raise KeyboardInterrupt


def test_a_camera_gives_each_still_pose_once(monkeypatch):
    again = [*PICTURES, PICTURES[0], PICTURES[2]]
    monkeypatch.setattr(gather, "open_source", lambda spec: Held(again))
    gathered = from_source("camera:0", BOARD, 40)
    assert len(gathered.views) == 5
    monkeypatch.setattr(gather, "open_source", lambda spec: Held(again, frames=1))
    assert from_source("camera:0", BOARD, 40).views == ()  # never seen twice: it may be moving


def test_a_camera_stops_when_there_are_enough_and_when_it_is_told_to(monkeypatch):
    monkeypatch.setattr(gather, "open_source", lambda spec: Held(PICTURES))
    assert len(from_source("camera:0", BOARD, 3).views) == 3
    monkeypatch.setattr(gather, "open_source", lambda spec: Held(PICTURES[:4], interrupted=True))
    assert len(from_source("camera:0", BOARD, 40).views) == 4


def test_a_recording_gives_its_still_poses(tmp_path):
    path = tmp_path / "boards.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 480, 300, "yuv420p"
        stream.options = {"crf": "12"}
        for picture in PICTURES:
            for _ in range(4):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    gathered = from_source(str(path), BOARD, 40)
    assert len(gathered.views) == 5
    assert all(isinstance(view, View) and view.name.startswith("frame ") for view in gathered.views)


def test_a_recording_without_a_board_says_what_it_shows_instead(monkeypatch):
    monkeypatch.setattr(gather, "open_source", lambda spec: Held(PICTURES))
    asked = Board(columns=7, rows=5)
    gathered = from_source("camera:0", asked, 40)
    assert gathered.views == ()
    assert isinstance(gathered.skipped[0], Skipped)
    assert gathered.skipped[0].seen == (9, 6)
