"""The latency account of one run: stages, age of results, drops. Times are `time.monotonic_ns` differences."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

NS_PER_MS = 1e6
KEPT = 36_000  # frames that a report remembers, 20 minutes at 30 a second: an endless run must not fill the memory


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Distribution of n times in milliseconds; all zero where n is 0."""

    n: int
    p50: float
    p95: float
    p99: float
    max: float


def percentiles(times_ns: Iterable[int]) -> Percentiles:
    """Percentiles in ms of durations in ns."""
    values = np.fromiter(times_ns, np.float64) / NS_PER_MS
    if not values.size:
        return Percentiles(0, 0.0, 0.0, 0.0, 0.0)
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return Percentiles(values.size, float(p50), float(p95), float(p99), float(values.max()))


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """What one finished frame cost: per stage, and how old its result was at the sinks.

    Attributes:
        frame_id: number in the source's count.
        finished_ns: `time.monotonic_ns` when the sinks had it.
        age_ns: time when the sinks got it minus time of capture.
        stages_ns: stage -> wall time, in the order of the loop.
        cpu_ns: stage -> CPU time of the stage's own thread; threads that it starts inside libraries are not in it.
        device_ns: what a GPU spent on the frame, by its own clock: ``upload``, ``compute``, ``download``; a part of the stage ``infer``.
        began_ns: stage -> `time.monotonic_ns` at its start; for observers, reports do not keep it.
        camera: whose frame it was.
    """

    frame_id: int
    finished_ns: int
    age_ns: int
    stages_ns: Mapping[str, int]
    cpu_ns: Mapping[str, int] = field(default_factory=dict)
    device_ns: Mapping[str, int] = field(default_factory=dict)
    began_ns: Mapping[str, int] = field(default_factory=dict)
    camera: int = 0


class LatencyReport:
    """Collects the timing of finished frames; the first `warmup` of them count only as warm-up.

    Dropped frames are the gaps in the frame ids of each camera. Percentiles and frames a second are of the last `KEPT` frames.

    Args:
        warmup: finished frames that the percentiles leave out.
        first_id: id of a camera's first frame that could have been finished; default: its first that was.

    Attributes:
        finished_by, dropped_by: camera -> finished and dropped frames.
    """

    def __init__(self, warmup: int, first_id: int | None = None) -> None:
        self._warmup = warmup
        self._frames: deque[FrameTiming] = deque(maxlen=KEPT)
        self._first_id = first_id
        self._last_ids: dict[int, int] = {}  # by camera
        self.finished_by: Counter[int] = Counter()
        self.dropped_by: Counter[int] = Counter()

    def add(self, timing: FrameTiming) -> None:
        """Take in one finished frame; the frame ids of a camera must rise."""
        camera, frame_id = timing.camera, timing.frame_id
        first_id = frame_id if self._first_id is None else self._first_id
        self.dropped_by[camera] += frame_id - self._last_ids.get(camera, first_id - 1) - 1
        self._last_ids[camera] = frame_id
        self.finished_by[camera] += 1
        if self.finished > self._warmup:
            self._frames.append(timing)

    @property
    def finished(self) -> int:
        """Finished frames of all cameras."""
        return self.finished_by.total()

    @property
    def dropped(self) -> int:
        """Dropped frames of all cameras."""
        return self.dropped_by.total()

    @property
    def frames(self) -> tuple[FrameTiming, ...]:
        """The frames after warm-up, in order; of a long run the last `KEPT`."""
        return tuple(self._frames)

    @property
    def fps(self) -> float:
        """Finished frames a second between the first and the last frame after warm-up."""
        if len(self._frames) < 2:
            return 0.0
        span_ns = self._frames[-1].finished_ns - self._frames[0].finished_ns
        return (len(self._frames) - 1) * 1e9 / max(span_ns, 1)

    def age_ms(self, camera: int | None = None) -> Percentiles:
        """Age of the results at the sinks, now minus capture: of all cameras, or of one."""
        return percentiles(f.age_ns for f in self._frames if camera in {None, f.camera})

    def stages_ms(self) -> dict[str, Percentiles]:
        """Duration of each stage, in the order of the loop."""
        return _by_stage(frame.stages_ns for frame in self._frames)

    def cpu_ms(self) -> dict[str, Percentiles]:
        """CPU time of each stage's own thread, in the order of the loop."""
        return _by_stage(frame.cpu_ns for frame in self._frames)

    def device_ms(self) -> dict[str, Percentiles]:
        """What a GPU spent, by its own clock; empty without one."""
        return _by_stage(frame.device_ns for frame in self._frames)

    def summary(self) -> dict[str, Any]:
        """The part of the closing JSON object that this report knows."""
        return {
            "frames": self.finished,
            "warmup": min(self._warmup, self.finished),
            "dropped": self.dropped,
            "fps": self.fps,
            "age_ms": asdict(self.age_ms()),
            "stages_ms": {stage: asdict(p) for stage, p in self.stages_ms().items()},
            "cpu_ms": {stage: asdict(p) for stage, p in self.cpu_ms().items()},
            "device_ms": {part: asdict(p) for part, p in self.device_ms().items()},
        }


def _by_stage(frames: Iterable[Mapping[str, int]]) -> dict[str, Percentiles]:
    times: dict[str, list[int]] = defaultdict(list)
    for stages in frames:
        for stage, spent_ns in stages.items():
            times[stage].append(spent_ns)
    return {stage: percentiles(spent) for stage, spent in times.items()}
