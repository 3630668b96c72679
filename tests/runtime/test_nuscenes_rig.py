"""The six cameras of a nuScenes keyframe as one run, one of them stalled."""

import itertools
import json
import os
import time
from pathlib import Path

import av
import cv2
import pytest

from perception.backends import DEFAULT_BACKEND, open_backend
from perception.core.manifest import DEFAULT_ENGINE, load_engine
from perception.runtime.pipeline import Pipeline
from perception.sinks import open_sinks
from perception.sinks.base import SinkContext
from perception.sources.base import Picture, Source

NAMES = ("FRONT_LEFT", "FRONT", "FRONT_RIGHT", "BACK_LEFT", "BACK", "BACK_RIGHT")
STALLED = 4
ENGINE_WH = (320, 192)
ROUNDS = 8


class StillCamera(Source):
    """A live camera before which the world stands still: one picture, 20 times a second; silent after `count` pictures."""

    def __init__(self, path, count=None):
        super().__init__(path.parent.name)
        self._image = cv2.imread(str(path))
        self._count = count
        self.live, self.fps = True, None
        self.size_wh = (self._image.shape[1], self._image.shape[0])

    def _pictures(self):
        for _ in itertools.count() if self._count is None else range(self._count):
            if self._stopping.wait(0.05):
                return
            yield Picture(self._image, time.monotonic_ns(), None)
        self._stopping.wait()


@pytest.mark.data
def test_five_of_six_cameras_are_served_evenly_while_one_is_stalled(tmp_path, monkeypatch):
    monkeypatch.setattr("perception.runtime.cameras.STALLED_S", 0.2)
    samples = Path(os.environ["PERCEPTION_DATA"]) / "nuscenes" / "samples"
    paths = [next((samples / f"CAM_{name}").glob("*.jpg")) for name in NAMES]
    sources = [StillCamera(p, 2 if n == STALLED else None) for n, p in enumerate(paths)]
    engine = load_engine(DEFAULT_ENGINE)
    context = SinkContext(engine.manifest.box_classes, engine.manifest.map_classes, None, 6)
    specs = (f"jsonl={tmp_path / 'a.jsonl'}", f"overlay={tmp_path / 'a.mp4'}")
    with (
        open_backend(DEFAULT_BACKEND, engine, ENGINE_WH) as backend,
        Pipeline(sources, backend, engine.manifest, open_sinks(specs, context)) as pipeline,
    ):
        report = pipeline.run(limit=5 * ROUNDS + 1)
    counts = [report.finished_by[n] for n in range(6)]
    assert 1 <= counts.pop(STALLED) <= 2
    assert max(counts) - min(counts) <= ROUNDS // 4, counts
    cameras = [camera.summary(report) for camera in pipeline.cameras]
    assert max(cameras, key=lambda one: one["longest_silence_s"])["camera"] == STALLED
    assert (cameras[STALLED]["stalls"], cameras[STALLED]["lost"]) == (1, "")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(rows) == report.finished == 5 * ROUNDS + 1
    assert {row["camera"] for row in rows} == set(range(6))
    with av.open(str(tmp_path / "a.mp4")) as container:
        pictures = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    assert len(pictures) >= ROUNDS - 1
    assert pictures[0].shape == (720, 1920, 3)
