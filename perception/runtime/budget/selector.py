"""The choice of heads and size in a run: opens the variants, chooses for each frame, runs it, joins boxes with the newest map, and keeps count."""

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.core.camera import Undistorter
from perception.core.errors import ConfigError
from perception.core.manifest import GRAPH_INPUT
from perception.core.timing import KEPT, FrameTiming, LatencyReport, percentiles
from perception.core.types import Float32, Frame, Scene, Seen
from perception.runtime.budget.costs import RunningCosts
from perception.runtime.budget.policy import MapState, Policy, Variant
from perception.runtime.budget.variants import Variants, grey_frame
from perception.runtime.budget.view import tiny_grey, view_change
from perception.runtime.observers.base import Observer
from perception.stages.postprocess import Reading, postprocess, postprocess_boxes
from perception.stages.preprocess import Fed, preprocess

# what the budget covers: the work on one frame, without the waits between the threads
COVERED = ("preprocess", "infer", "postprocess")
NS_PER_MS = 1e6


@dataclass(slots=True)
class Turn:
    """One frame that was chosen a variant for.

    Attributes:
        frame: the frame.
        variant: how it is run.
        fed: the engine input.
        map_turn: whose class map it carries; ``None``: it has its own.
        outputs: of the graph, once it ran.
        scene: once it is ready, of turns with a map of their own.
    """

    frame: Frame
    variant: Variant
    fed: Fed
    map_turn: "Turn | None"
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    scene: Scene | None = None


class TaskSelector(Observer):
    """Chooses for every frame which heads run and at which size, so that at p95 it takes no longer than the budget.

    `prepare` and `infer` belong to one thread, frame by frame; `scene` to one thread, in the same order; `observe` to one thread.

    Args:
        variants: opened; closed with this, or by whoever opened them.
        budget_ms: for `COVERED` together.
        reading: of the engine's outputs, for the calibration.
        frame_wh: size of the frames, px.
        warmup: finished frames that the account leaves out.
        undistorter: undoes the lens of the camera; ``None``: frames are fitted as they are.
        **rules: of `Policy`, other than as shipped.

    Raises:
        ConfigError: the smallest size with both heads takes more than the budget in half of the runs. A budget that only interruptions by other
            processes exceed is tried, and its misses are counted.
    """

    def __init__(
        self,
        variants: Variants,
        budget_ms: float,
        reading: Reading,
        *,
        frame_wh: tuple[int, int],
        warmup: int = 0,
        undistorter: Undistorter | None = None,
        **rules: Any,  # noqa: ANN401 (checked by the policy)
    ) -> None:
        self._variants = variants
        self._undistorter = undistorter
        self._turns: dict[int, Turn] = {}
        self._lock = threading.Lock()  # of the turns
        self._newest: Turn | None = None  # with a map of its own
        self._since = 0  # frames run since then
        self._grey: Float32 | None = None  # of its frame
        blank = grey_frame(frame_wh)
        costs = RunningCosts(variants.calibrate(partial(self._rehearse, blank, reading)))
        self._costs = costs
        self._policy = Policy(budget_ms, costs, **{"sizes": variants.sizes, **rules})
        self._account = BudgetAccount(budget_ms, warmup)
        self._calibrated_ms = {v.name: round(costs.p95_ms(v), 3) for v in variants}
        smallest = Variant(self._policy.sizes[-1], with_map=True)
        if (least_ms := costs.typical_ms(smallest)) > budget_ms:
            raise ConfigError(
                f"--budget-ms {budget_ms:g}: expected more than the {least_ms:.1f} that the smallest size with boxes and class map, {smallest.name}, takes here in half of the runs"
            )

    def prepare(self, frame: Frame) -> Fed:
        """Choose for a frame, and fit it."""
        grey = tiny_grey(frame.image)
        variant = self._policy.choose(self._map_state(frame, grey))
        fed = preprocess(frame, variant.size_wh, undistorter=self._undistorter)
        turn = Turn(frame, variant, fed, None if variant.with_map else self._newest)
        with self._lock:
            self._turns[frame.frame_id] = turn
        if variant.with_map:
            self._newest, self._since, self._grey = turn, 0, grey
        self._since += 1
        return fed

    def infer(self, frame: Frame) -> dict[str, NDArray[Any]]:
        """Run the variant that was chosen for a frame."""
        turn = self._turns[frame.frame_id]
        outputs = self._variants[turn.variant].infer({GRAPH_INPUT: turn.fed.feed})
        # the next call may overwrite them while this frame is still on its way
        turn.outputs = {name: np.array(array) for name, array in outputs.items()}
        return turn.outputs

    def scene(self, frame: Frame, reading: Reading) -> Scene:
        """What was found in a frame, with the class map that is its own or carried."""
        turn = self._turns[frame.frame_id]
        if turn.map_turn is None:
            return _whole(turn, reading)
        earlier = _whole(turn.map_turn, reading)
        return postprocess_boxes(frame, turn.outputs, turn.fed.box, reading, earlier)

    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:  # noqa: ARG002 (of every observer)
        """Learn from what a finished frame took."""
        turn = self._turns[timing.frame_id]
        with self._lock:
            # frames before it that are still here were dropped on their way
            for frame_id in [n for n in self._turns if n <= timing.frame_id]:
                del self._turns[frame_id]
        spent_ns = sum(timing.stages_ns[stage] for stage in COVERED)
        self._costs.observe(turn.variant, spent_ns / NS_PER_MS)
        seen = (turn.map_turn or turn).frame
        map_age_ns = timing.age_ns + turn.frame.captured_ns - seen.captured_ns
        self._account.add(turn.variant, spent_ns, map_age_ns)

    def summary(self) -> dict[str, Any]:
        """The part of the closing JSON object that is about the budget."""
        return {**self._account.summary(), "calibrated_p95_ms": self._calibrated_ms}

    def close(self) -> None:
        """Close the variants."""
        self._variants.close()

    def _map_state(self, frame: Frame, grey: Float32) -> MapState | None:
        newest = self._newest
        # a live source may change its size
        if newest is None or self._grey is None or newest.frame.size_wh != frame.size_wh:
            return None
        age_ms = (frame.captured_ns - newest.frame.captured_ns) / NS_PER_MS
        return MapState(age_ms=age_ms, frames=self._since, change=view_change(self._grey, grey))

    def _rehearse(self, frame: Frame, reading: Reading, variant: Variant) -> None:
        """All that the budget covers, once, for the calibration: a variant with the map comes before the one without."""
        grey = tiny_grey(frame.image)
        view_change(grey, grey)
        fed = preprocess(frame, variant.size_wh, undistorter=self._undistorter)
        outputs = self._variants[variant].infer({GRAPH_INPUT: fed.feed})
        if variant.with_map:
            self._rehearsed = postprocess(frame, outputs, fed.box, reading)
        else:
            postprocess_boxes(frame, outputs, fed.box, reading, self._rehearsed)


def _whole(turn: Turn, reading: Reading) -> Scene:
    """The scene of a turn with a map; made here too where its own frame was dropped on its way."""
    if turn.scene is None:
        scene = postprocess(turn.frame, turn.outputs, turn.fed.box, reading)
        seen = Seen(turn.frame.frame_id, turn.frame.captured_ns)
        turn.scene = replace(scene, map_seen=seen)
    return turn.scene


class BudgetAccount:
    """How the budget was kept, over the last `KEPT` frames after warm-up.

    Args:
        budget_ms: for `COVERED` together.
        warmup: frames left out.
    """

    def __init__(self, budget_ms: float, warmup: int) -> None:
        self._budget_ms = budget_ms
        self._left_out = warmup
        self._spent_ns: deque[int] = deque(maxlen=KEPT)
        self._map_ages_ns: deque[int] = deque(maxlen=KEPT)
        self._chosen: deque[Variant] = deque(maxlen=KEPT)

    def add(self, variant: Variant, spent_ns: int, map_age_ns: int) -> None:
        """Take in one finished frame."""
        if self._left_out:
            self._left_out -= 1
            return
        self._chosen.append(variant)
        self._spent_ns.append(spent_ns)
        self._map_ages_ns.append(map_age_ns)

    def summary(self) -> dict[str, Any]:
        """Budget, time spent and kept, variants by their counts, how old the class maps were at the sinks."""
        spent = percentiles(self._spent_ns)
        missed = sum(ns > self._budget_ms * NS_PER_MS for ns in self._spent_ns)
        own = sum(variant.with_map for variant in self._chosen)
        return {
            "budget_ms": self._budget_ms,
            "covers": list(COVERED),
            "spent_ms": asdict(spent),
            "missed": missed,
            "kept_at_p95": spent.p95 <= self._budget_ms,
            "variants": dict(Counter(v.name for v in self._chosen).most_common()),
            "own_map_share": own / len(self._chosen) if self._chosen else 0.0,
            "map_age_ms": asdict(percentiles(self._map_ages_ns)),
        }
