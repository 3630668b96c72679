"""From what the user named to a camera file and its report: `perception calibrate`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from perception.calibration.boards.board import Board
from perception.calibration.boards.fit import Model
from perception.calibration.boards.gather import (
    Gathered,
    from_pictures,
    from_source,
    is_pictures,
    picture_paths,
)
from perception.calibration.boards.report import (
    VALUE_HEAD,
    VIEW_HEAD,
    left_out_head,
    left_out_rows,
    page_paths,
    stereo_rows,
    stereo_summary,
    summary,
    table,
    value_rows,
    view_rows,
    write_report,
)
from perception.calibration.boards.stereo import (
    Stereo,
    check_stereo,
    disagreements,
    fit_stereo,
    pair_up,
)
from perception.calibration.boards.uncertainty import Calibrated, calibrate_views
from perception.core.camera import Camera, save_camera
from perception.core.errors import ConfigError
from perception.core.files import check_names, check_writable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What `perception calibrate` was asked for.

    Attributes:
        inputs: pictures, folders or patterns of them, or one recording or camera.
        right: the same of a second camera, empty where there is none.
        board: what was held before them.
        model: which camera to fit.
        out, right_out: camera files to write.
        report: folder for the pages, ``None`` for no report.
        keep_all: leave no view and no corner out that was found.
        most: views to take from a recording or a camera.
        source: where the pictures come from and under which licence; for the camera files.
    """

    inputs: tuple[str, ...]
    right: tuple[str, ...] = ()
    board: Board
    model: Model
    out: Path
    right_out: Path
    report: Path | None = None
    keep_all: bool = False
    most: int = 40
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What came of it.

    Attributes:
        cameras: one, or left and right.
        stereo: of both, ``None`` for one.
        summary: the closing JSON object.
    """

    cameras: tuple[Calibrated, ...]
    stereo: Stereo | None
    summary: dict[str, Any]

    def tables(self, *, leave_out: bool) -> list[Table]:
        """For the terminal; with the values without each view if asked for."""
        made = []
        for result, side in zip(self.cameras, _sides(len(self.cameras)), strict=True):
            rms = f"{side}rms {result.fit.rms_px:.3f} px"
            made.append(table(f"{side}views kept", VIEW_HEAD, view_rows(result)))
            made.append(table(rms, VALUE_HEAD, value_rows(result)))
            if leave_out:
                made.append(
                    table(f"{side}leaving views out", left_out_head(result), left_out_rows(result))
                )
        if self.stereo is not None:
            made.append(table("two cameras", ("", ""), stereo_rows(self.stereo)))
        return made


def calibrate(job: Job) -> Done:
    """Calibrate one camera or a pair, write the camera files and the report.

    Raises:
        ConfigError: the options do not fit each other.
        InputError: the pictures cannot be used.
        OutputError: a file cannot be written.
    """
    if job.model.rational and job.model.lens == "fisheye":
        raise ConfigError("--rational is for pinhole lenses; leave it out with --lens fisheye")
    check_names(*_outputs(job))
    check_writable(*_outputs(job))
    if not job.right:
        result = _one(job.inputs, job)
        camera = _camera(result, job)
        written = _write(job, result, camera, job.out, "")
        return Done((result,), None, {**summary(result), **written})
    check_stereo(job.board, job.model.lens)
    for inputs in (job.inputs, job.right):
        if not is_pictures(inputs):
            raise ConfigError(
                f"--right: expected pictures of both cameras, got {inputs[0]}: save pictures that were taken at the same time"
            )
    names = pair_up(picture_paths(job.inputs), picture_paths(job.right))
    left, right = (_one(inputs, job) for inputs in (job.inputs, job.right))
    stereo = fit_stereo(left.choice, right.choice, names, job.board)
    sigmas = float(left.sigmas[0]), float(right.sigmas[0])
    told = disagreements(stereo, left.fit, right.fit, sigmas, job.board)
    _warn("", told)
    rows = stereo_rows(stereo)
    cameras = {
        "left": _write(job, left, _camera(left, job), job.out, "left ", rows),
        "right": _write(job, right, stereo.mounted(_camera(right, job)), job.right_out, "right ", rows),
    }  # fmt: skip
    both = {name: {**summary(r), **cameras[name]} for name, r in zip(cameras, (left, right), strict=True)}  # fmt: skip
    return Done(
        (left, right), stereo, {**both, "stereo": {**stereo_summary(stereo), "warnings": told}}
    )


def _outputs(job: Job) -> list[Path]:
    """Every file that will be written."""
    cameras = [job.out, *([job.right_out] if job.right else [])]
    if job.report is None:
        return cameras
    return [*cameras, *(page for out in cameras for page in page_paths(job.report, out.stem))]


def _one(inputs: Sequence[str], job: Job) -> Calibrated:
    gathered = _gather(inputs, job)
    for skipped in gathered.skipped:
        logger.info("%s: skipped: %s", skipped.name, skipped.reason)
    result = calibrate_views(gathered, job.board, job.model, keep_all=job.keep_all)
    for rejected in result.choice.rejected:
        logger.info("%s: rejected: %s", rejected.name, rejected.reason)
    if result.choice.corners:
        logger.info("%d single corners rejected: far off, in views that are kept", result.choice.corners)  # fmt: skip
    return result


def _gather(inputs: Sequence[str], job: Job) -> Gathered:
    if is_pictures(inputs):
        return from_pictures(picture_paths(inputs), job.board)
    return from_source(inputs[0], job.board, job.most)


def _camera(result: Calibrated, job: Job) -> Camera:
    made = (
        f"perception calibrate: {job.board.kind} of {job.board.name} corners, {len(result.choice.views)} of "
        f"{result.gathered.looked} pictures"
    )
    sigma = float(result.sigmas[:2].max())
    return result.fit.camera(
        source=f"{job.source}; {made}" if job.source else made, focal_sigma_px=sigma
    )


def _write(
    job: Job, result: Calibrated, camera: Camera, out: Path, side: str, stereo: Sequence[tuple[str, ...]] = ()
) -> dict[str, Any]:  # fmt: skip
    """Write what belongs to a camera; tell where."""
    _warn(side, result.warnings)
    head = [
        "Boards before the camera, by perception calibrate. Principal point: integers are pixel centres.",
        f"Values and their standard deviations: {', '.join(f'{n} {v} +- {s}' for n, v, s, *_ in value_rows(result))}.",
        "How it is mounted is not known yet: height_m and pitch_deg are missing.",
        *(f"{name}: {value}" for name, value in stereo),
        *(f"Note: {line}." for line in result.warnings),
    ]
    save_camera(camera, out, "\n".join(head))
    written: dict[str, Any] = {"camera": str(out)}
    if job.report is not None:
        title = f"{out.stem}: {camera.width_px}x{camera.height_px}, {result.fit.model.kind}, rms {result.fit.rms_px:.3f} px, {camera.date}"
        pages = write_report(result, job.report, out.stem, title, stereo)
        written["report"] = [str(path) for path in pages]
    return written


def _warn(side: str, lines: Sequence[str]) -> None:
    for line in lines:
        logger.warning("%s%s", side, line)


def _sides(count: int) -> tuple[str, ...]:
    return ("left: ", "right: ") if count > 1 else ("",)
