"""What rendering costs: CPU time by stage, and of each addition beside the same plain scene, in one run."""

import cProfile
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import getfile
from pathlib import Path
from statistics import median
from typing import Any

import cv2
from rich.table import Table

from perception.core.errors import ConfigError
from perception.render.config import DriveConfig, LightConfig, OpticsConfig, WeatherConfig
from perception.render.disk import write_frame
from perception.render.picture import polygons
from perception.render.pool import RENDERER, Renderer, load_renderer
from perception.render.records import RenderedFrame

PLAIN = "plain"
SMALL = 0.01  # share of a frame's time below which a stage is not named
Detail = tuple[float, float]  # see `polygons.DETAIL_PX`


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to render.

    Attributes:
        config: of the drive.
        detail_px: in place of `polygons.DETAIL_PX`: from which height a mesh is drawn in detail 1 and 2.
    """

    config: DriveConfig
    detail_px: Detail = polygons.DETAIL_PX


def variants(size_wh: tuple[int, int], seed: int) -> dict[str, Variant]:
    """The plain scene, a street by day through a still camera without blur and noise; then one addition each."""
    still = OpticsConfig(exposure_ms=0, noise=0)
    plain = DriveConfig(seed=seed, place="town", optics=still)
    plain = replace(plain, camera=replace(plain.camera, size_wh=size_wh))
    night = LightConfig(elevation_deg=-14)

    def through(noise: float = 0, exposure_ms: float = 0, readout_ms: float = 0) -> DriveConfig:
        optics = OpticsConfig(noise=noise, exposure_ms=exposure_ms, readout_ms=readout_ms)
        return replace(plain, optics=optics)

    return {
        PLAIN: Variant(plain),
        "noise of the sensor": Variant(through(noise=1)),
        "motion blur, 8 ms": Variant(through(exposure_ms=8)),
        "rolling shutter, 20 ms": Variant(through(readout_ms=20)),
        "supersampling 2": Variant(replace(plain, optics=replace(still, supersampling=2))),
        "rain": Variant(replace(plain, weather=WeatherConfig(clouds=0.9, rain=0.8))),
        "fog": Variant(replace(plain, weather=WeatherConfig(clouds=0.9, visibility_m=120))),
        "night": Variant(replace(plain, light=night)),
        "twice the traffic": Variant(
            replace(plain, vehicles=2 * plain.vehicles, people=2 * plain.people)
        ),
        "every mesh at its richest": Variant(plain, (0.0, 0.0)),
        "every mesh at its plainest": Variant(plain, (sys.float_info.max,) * 2),
        "in the country": Variant(replace(plain, place="country")),
    }


def bench_render(
    size_wh: tuple[int, int] = (1248, 384),
    *,
    frames: int = 4,
    rounds: int = 3,
    seed: int = 0,
    renderer: str = RENDERER,
) -> dict[str, Any]:
    """Time all variants in turn, so that what else the machine does meets all of them.

    Args:
        size_wh: of the frames, px.
        frames: of each variant, one after another from the middle of its drive.
        rounds: of every frame; the median counts.
        seed: of the scene.
        renderer: ``module:class`` of what makes the frames.

    Returns:
        CPU ms a frame: ``stages_ms`` of the plain scene, ``frame_ms`` by variant; ``build_s`` of a drive; ``max_rss_mib`` with
        the plain drive alone.
    """
    if frames < 1 or rounds < 1:
        raise ConfigError(
            f"bench: expected at least 1 frame and 1 round, got {frames} and {rounds}"
        )
    cv2.setNumThreads(1)
    ways = variants(size_wh, seed)
    make = load_renderer(renderer)
    began_s = time.process_time()
    drives: dict[str, Renderer] = {PLAIN: make(ways[PLAIN].config)}
    build_s = time.process_time() - began_s
    middle = ways[PLAIN].config.frames // 2
    indices = range(middle, middle + frames)
    written_ms = _writing_ms([drives[PLAIN].render(index) for index in indices])
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    drives |= {name: make(way.config) for name, way in ways.items() if name != PLAIN}
    frame_ms = _turns(ways, drives, indices, rounds)
    shares = _stage_shares(drives[PLAIN], indices)
    return {
        "size_wh": list(size_wh),
        "frames": frames,
        "rounds": rounds,
        "frame_ms": {name: round(ms, 1) for name, ms in frame_ms.items()},
        "stages_ms": {name: round(part * frame_ms[PLAIN], 1) for name, part in shares.items()},
        "write_ms": round(written_ms, 1),
        "build_s": round(build_s, 2),
        "max_rss_mib": round(rss_mib),
    }


def _turns(
    ways: Mapping[str, Variant], drives: Mapping[str, Renderer], indices: range, rounds: int
) -> dict[str, float]:
    """Mean over the frames of the median over the rounds, ms."""
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, drive in drives.items():
            with _detail(ways[name].detail_px):
                drive.render(indices[0] - 1)  # leads there: a drive that goes back starts again
                for index in indices:
                    began_s = time.process_time()
                    drive.render(index)
                    taken_ms = (time.process_time() - began_s) * 1000
                    spent.setdefault((name, index), []).append(taken_ms)
    return {name: sum(median(spent[name, i]) for i in indices) / len(indices) for name in drives}


@contextmanager
def _detail(detail_px: Detail) -> Iterator[None]:
    before = polygons.DETAIL_PX
    polygons.DETAIL_PX = detail_px
    try:
        yield
    finally:
        polygons.DETAIL_PX = before


def _writing_ms(frames: list[RenderedFrame]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        for frame in frames:
            write_frame(Path(folder), frame)
    return (time.process_time() - began_s) * 1000 / len(frames)


def _stage_shares(drive: Renderer, indices: range) -> dict[str, float]:
    """Share of a frame's time by what the renderer's own module calls, largest first.

    A profiler slows down what makes many small calls, so these are shares, not times.
    """
    drive.render(indices[0] - 1)
    profile = cProfile.Profile()
    profile.enable()
    for index in indices:
        drive.render(index)
    profile.disable()
    home = getfile(type(drive))
    calls: Mapping[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # not in typeshed
    total = max(calls[key][3] for key in calls if key[0] == home and key[2] == "render")
    shares: dict[str, float] = {}
    for (file, _, function), (*_, callers) in calls.items():
        spent = sum(edge[3] for caller, edge in callers.items() if caller[0] == home)
        if file.endswith(".py") and file != home and spent > SMALL * total:
            shares[f"{Path(file).stem}.{function}"] = spent / total
    ordered = dict(sorted(shares.items(), key=lambda item: -item[1]))
    return {**ordered, "other": max(0.0, 1 - sum(shares.values()))}


def cost_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The figures of `bench_render`: the stages, and the additions beside the plain scene."""
    size = "x".join(map(str, summary["size_wh"]))
    stages = Table(title=f"stages of the plain scene, {size}", caption="CPU ms a frame, one core")
    stages.add_column("stage", no_wrap=True)
    stages.add_column("ms", justify="right")
    for name, ms in {**summary["stages_ms"], "write to disk": summary["write_ms"]}.items():
        stages.add_row(name, f"{ms:.1f}")
    memory, built = summary["max_rss_mib"], summary["build_s"]
    additions = Table(
        title=f"additions, {size}",
        caption=f"CPU, one core; memory {memory} MiB; a drive is built in {built:.2f} s",
    )
    additions.add_column("scene", no_wrap=True)
    for column in ("ms a frame", "over plain", "frames a second"):
        additions.add_column(column, justify="right")
    plain_ms = summary["frame_ms"][PLAIN]
    for name, ms in summary["frame_ms"].items():
        more = "" if name == PLAIN else f"{100 * (ms / plain_ms - 1):+.0f} %"
        additions.add_row(name, f"{ms:.0f}", more, f"{1000 / ms:.2f}")
    return [stages, additions]
