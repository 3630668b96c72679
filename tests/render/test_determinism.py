"""The same seed gives the same labels: in every process, on every NumPy, with and without OpenCV's optimisations."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from perception.render.config import CameraConfig, DriveConfig, OpticsConfig
from perception.render.drive import Drive
from perception.render.store import labels_hash

CAMERA = CameraConfig(size_wh=(416, 128))
# Computed once and kept here: CI compares it on NumPy 1.26 and on the newest. If what is rendered was changed on purpose, run
# this file, put the new hashes here, and raise FORMAT in perception/render/store.py.
KNOWN = {
    ("town", 11, 40): "a749186f9705027ff3f0480590be0ae9e18cb065d37f0c8c4b1ae5f63de90332",
    ("country", 12, 40): "af9dac406c7095b6d4db54349960ba957d86bbd674aaba6abf9879e6d1e7b2f5",
    ("mixed", 13, 110): "234fcd06e8b4856a5b090cb750f00e17340308f6c5197bc49de45fbb3a716c98",
}
KNOWN_BENT = "3486d1337e735c5145867fbf03034db228a81eaab5b5fa40bd867fa63d0dd118"


def config(place: str, seed: int, fps: float = 10.0) -> DriveConfig:
    return DriveConfig(seed=seed, place=place, fps=fps, camera=CAMERA)


@pytest.mark.parametrize(("place", "seed", "index"), KNOWN)
def test_labels_are_those_that_were_kept(place, seed, index):
    assert labels_hash(Drive(config(place, seed)).labels(index)) == KNOWN[place, seed, index]


@pytest.fixture
def bent(tmp_path):
    """A drive through a lens and a rolling shutter: the only labels for which pictures are looked up."""
    file = tmp_path / "bent.toml"
    file.write_text(
        "width_px = 416\nheight_px = 256\nfx_px = 230.0\nfy_px = 230.0\ncx_px = 205.0\ncy_px = 124.0\n"
        "distortion = [-0.28, 0.07, 0.001, -0.0005, 0.0]\nheight_m = 1.4\npitch_deg = -2.0\n"
    )
    return DriveConfig(
        seed=14,
        place="town",
        camera=CameraConfig(file=str(file), size_wh=(416, 256)),
        optics=OpticsConfig(readout_ms=25),
    )


def test_bent_labels_are_those_that_were_kept(bent):
    assert labels_hash(Drive(bent).render(30).labels) == KNOWN_BENT


def test_labels_do_not_depend_on_opencvs_optimisations(bent):
    before = cv2.useOptimized()
    cv2.setUseOptimized(not before)
    try:
        found = labels_hash(Drive(bent).render(30).labels)
    finally:
        cv2.setUseOptimized(before)
    assert found == KNOWN_BENT


def test_another_process_gives_the_same_picture_and_labels():
    place, seed, index = next(iter(KNOWN))
    script = (
        "import hashlib; from perception.render.config import *; from perception.render.drive import Drive;"
        "from perception.render.store import labels_hash;"
        f"c = DriveConfig(seed={seed}, place={place!r}, camera=CameraConfig(size_wh=(416, 128)));"
        f"f = Drive(c).render({index});"
        "print(labels_hash(f.labels), hashlib.sha256(f.image.tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    assert runs.pop().split()[0] == KNOWN[place, seed, index]


def test_any_frame_can_be_asked_for_first():
    place, seed, index = next(iter(KNOWN))
    drive = Drive(config(place, seed))
    in_order = [drive.render(k) for k in (index - 1, index)][1]
    alone = Drive(config(place, seed)).render(index)
    np.testing.assert_array_equal(in_order.image, alone.image)
    assert labels_hash(in_order.labels) == labels_hash(alone.labels)


def test_what_happens_does_not_depend_on_the_rate():
    slow, fast = (
        Drive(config("town", 11, fps=10)).labels(12),
        Drive(config("town", 11, fps=30)).labels(36),
    )
    still = np.zeros_like(slow.flow_px)  # the way to the next frame is shorter at a higher rate
    assert labels_hash(replace(slow, flow_px=still)) == labels_hash(replace(fast, flow_px=still))


def test_another_seed_gives_another_drive():
    hashes = {labels_hash(Drive(config("town", seed)).labels(5)) for seed in (11, 12)}
    assert len(hashes) == 2
