"""The result on one page: where the vanishing points lie on a frame, each cue over time, and the figures."""

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np

from perception.calibration.mounting.combine import NORMAL_95, Joined
from perception.calibration.mounting.cues.motion import ahead_of
from perception.calibration.mounting.cues.tracks import to_pixels
from perception.calibration.mounting.estimate import Mounting
from perception.calibration.mounting.observe import Seen
from perception.core.camera import Camera
from perception.core.errors import OutputError

COLOURS = {"motion": "tab:orange", "lines": "tab:cyan"}


def write_report(path: Path, seen: Seen, mounting: Mounting, camera: Camera) -> None:
    """Write the page as a PNG.

    Args:
        path: of the PNG.
        seen: what was seen.
        mounting: what came out of it.
        camera: at the size of the frames, before the new mounting.

    Raises:
        OutputError: the file cannot be written.
    """
    mpl.use("agg")
    from matplotlib import pyplot  # noqa: PLC0415 (after the choice of what draws)

    figure, (top, middle) = pyplot.subplots(
        2, 1, figsize=(10, 9), height_ratios=(3, 2), layout="constrained"
    )
    if seen.picture is not None:
        top.imshow(cv2.cvtColor(seen.picture, cv2.COLOR_BGR2RGB), extent=(0, camera.width_px, camera.height_px, 0))  # fmt: skip
    for name, rows in (("motion", seen.motions), ("lines", seen.lines)):
        if not rows:
            continue
        table = np.array(rows)
        points = np.array(
            [
                to_pixels(camera, ahead_of(pitch, yaw, camera.roll_deg))
                for pitch, yaw in table[:, 1:]
            ]
        )
        top.plot(*points.T, ".", color=COLOURS[name], markersize=4, label=f"{name}: each picture")
        middle.plot(table[:, 0], table[:, 1], ".-", color=COLOURS[name], label=name, linewidth=0.6)
    pitch = mounting.pitch.estimate
    found = to_pixels(camera, ahead_of(pitch.value, mounting.yaw.estimate.value, camera.roll_deg))
    top.plot(*found, "+", color="red", markersize=24, markeredgewidth=2, label="all together")
    top.axhline(found[1], color="red", linewidth=0.6)
    top.set(xlim=(0, camera.width_px), ylim=(camera.height_px, 0), title=headline(mounting))
    middle.axhline(pitch.value, color="red", linewidth=0.8)
    middle.axhspan(*pitch.interval, color="red", alpha=0.15, label="95 %")
    middle.set(xlabel="time, s", ylabel="pitch, deg", title="\n".join(told_of(mounting)))
    for axes in (top, middle):
        axes.legend(loc="lower right", fontsize=8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        pyplot.close(figure)


def headline(mounting: Mounting) -> str:
    """Pitch, yaw and height with their 95 % intervals, in one line."""
    parts = [
        f"{name} {one.estimate.value:.2f} +- {NORMAL_95 * one.estimate.sigma:.2f} {unit}"
        for name, one, unit in (
            ("pitch", mounting.pitch, "deg"),
            ("yaw", mounting.yaw, "deg"),
            ("height", mounting.height, "m"),
        )
        if one is not None
    ]
    return ", ".join(parts) + " (95 %)"


def told_of(mounting: Mounting) -> list[str]:
    """A line for each quantity with its cues, and one for each disagreement."""

    def line(name: str, joined: Joined) -> str:
        cues = (
            f"{cue} {one.value:.2f} +- {NORMAL_95 * one.sigma:.2f} (n {one.count})"
            for cue, one in joined.cues.items()
        )
        return f"{name}: {'; '.join(cues)}"

    lines = [line("pitch, deg", mounting.pitch), line("yaw, deg", mounting.yaw)]
    if mounting.height is not None:
        lines.append(line("height, m", mounting.height))
    return [*lines, *mounting.disagree]
