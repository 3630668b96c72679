"""Stand-ins for the parts of the loop whose timing and failures a test wants to rule."""

import time

import numpy as np

from perception.backends.base import Backend
from perception.core.errors import InputError, OutputError
from perception.core.manifest import GRAPH_INPUT, TensorSpec
from perception.sinks.base import Sink
from perception.sources.base import Picture, Source

SIZE_WH = (64, 32)


class FakeSource(Source):
    """`count` frames, whose green value is their number, `interval_s` apart; then the error, if there is one."""

    def __init__(self, count, *, live=False, interval_s=0.0, error=None):
        super().__init__("fake")
        self.live, self.fps, self.size_wh, self.length = live, None, SIZE_WH, count
        self.read = 0
        self.closed = 0
        self._interval_s = interval_s
        self._error = error

    def _pictures(self):
        for index in range(self.length):
            if self._stopping.wait(self._interval_s):
                return
            self.read += 1
            image = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
            image[..., 1] = index % 256
            yield Picture(image, time.monotonic_ns(), index / 10)
        if self._error is not None:
            raise self._error

    def close(self):
        super().close()
        self.closed += 1


class StallingSource(FakeSource):
    """A live source that falls silent after `count` frames, until it is stopped."""

    def __init__(self, count, *, interval_s=0.0):
        super().__init__(count, live=True, interval_s=interval_s)

    def _pictures(self):
        yield from super()._pictures()
        self._stopping.wait()


class FakeBackend(Backend):
    """Tells each frame by its green value: the first box starts there. Reuses its outputs, as a device does."""

    name = "fake"

    def __init__(self, work_s=0.0, fails_at=None):
        self.device, self.precision = "none", "fp32"
        self.inputs = {GRAPH_INPUT: TensorSpec("uint8", (1, SIZE_WH[1], SIZE_WH[0], 3))}
        self.outputs = {}
        self.seen = []
        self._work_s = work_s
        self._fails_at = fails_at
        self._boxes = np.zeros((1, 1, 4), np.float32)

    def _infer(self, feeds):
        number = int(feeds[GRAPH_INPUT][0, 0, 0, 1])
        if number == self._fails_at:
            raise RuntimeError(f"inference failed at {number}")
        time.sleep(self._work_s)
        self.seen.append(number)
        self._boxes[0, 0] = (number % 32, 0, number % 32 + 8, 8)
        return {
            "boxes_xyxy": self._boxes,
            "scores": np.full((1, 1), 0.9, np.float32),
            "class_ids": np.zeros((1, 1), np.int32),
            "class_map": np.full((1, SIZE_WH[1], SIZE_WH[0]), 3, np.uint8),
        }

    def close(self):
        self.seen = []


class FakeSink(Sink):
    """Notes the frames it got."""

    def __init__(self, *, work_s=0.0, fails_at=None, fails_closing=False):
        self.ids = []
        self.scenes = []
        self.closed = 0
        self._work_s = work_s
        self._fails_at = fails_at
        self._fails_closing = fails_closing

    def write(self, scene):
        if scene.frame.frame_id == self._fails_at:
            raise OutputError("disk full")
        time.sleep(self._work_s)
        self.ids.append(scene.frame.frame_id)
        self.scenes.append(scene)

    def close(self):
        self.closed += 1
        if self._fails_closing:
            raise OutputError("closing failed")


DAMAGED = InputError("frame 6 is damaged")
