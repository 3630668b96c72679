"""Two cameras that look at the same boards at the same time: where the second is beside the first, and whether both agree."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from perception.calibration.boards.board import Board
from perception.calibration.boards.choose import Choice
from perception.calibration.boards.find import View
from perception.calibration.boards.fit import MIN_VIEWS, Fit
from perception.core.camera import Camera
from perception.core.camera.rotation import angles_deg
from perception.core.errors import ConfigError, InputError
from perception.core.types import Float64

MOST_FITS = 30  # of the jackknife
AGREE_SIGMAS = (
    4.0  # how far apart two estimates of one length may be, in their joint standard deviation
)
AGREE_SHARE = 0.005  # and by how much of it, where their standard deviations promise too much
EPIPOLAR_PX = 1.0  # rms; more means another pairing, cameras that moved, or shutters that do not open together


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A board that both cameras see.

    Attributes:
        name: of both pictures.
        left, right: the same corners in each.
    """

    name: str
    left: View
    right: View


@dataclass(frozen=True, slots=True, eq=False)
class Stereo:
    """The second camera's pose.

    Attributes:
        pairs: what was fitted.
        rotation: ``float64[3, 3]``, right camera from left.
        shift: ``float64[3]``, right camera from left, m.
        rms_px: of all corners of both cameras.
        baseline_sigma_m: by leaving pairs out.
        epipolar_rms_px: distance of corners from the lines on which the other camera says that they lie.
        pair_baselines_m: ``float64[N]``: from each pair alone, by the two cameras' own poses of the board.
        squares_mm: ``float64[M]``: sides of squares, by where both cameras together see their corners.
    """

    pairs: tuple[Pair, ...]
    rotation: Float64
    shift: Float64
    rms_px: float
    baseline_sigma_m: float
    epipolar_rms_px: float
    pair_baselines_m: Float64
    squares_mm: Float64

    @property
    def position_m(self) -> Float64:
        """``float64[3]``: of the right camera in the left one's axes: right, down, ahead."""
        return np.asarray(-self.rotation.T @ self.shift, np.float64)

    @property
    def baseline_m(self) -> float:
        """Distance between the cameras."""
        return float(np.linalg.norm(self.shift))

    @property
    def angles_deg(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll of the right camera against the left one, as `Camera` counts them."""
        return angles_deg(self.rotation.T)

    def mounted(self, right: Camera) -> Camera:
        """The right camera with its place beside the left one, which stands at the origin and looks straight ahead."""
        yaw, pitch, roll = self.angles_deg
        x, _, z = map(float, self.position_m)
        return replace(right, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, lateral_m=x, forward_m=z)


def check_stereo(board: Board, lens: str) -> None:
    """Raise `ConfigError` where a stereo pair cannot be calibrated with this board or lens."""
    if board.square_mm is None:
        raise ConfigError("--right: expected --square-mm: without it the baseline has no length")
    if lens == "fisheye":
        raise ConfigError(
            "--right: expected pinhole cameras, got --lens fisheye; calibrate each by itself"
        )
    if board.marker_mm is None and (board.columns + board.rows) % 2 == 0:
        raise ConfigError(
            f"--right: a board of {board.name} corners looks the same upside down, so two cameras may count its corners from different ends; "
            "expected one odd and one even count, such as 9x6, or --charuco"
        )


def pair_up(left: Sequence[Path], right: Sequence[Path]) -> dict[str, str]:
    """Names of left pictures -> names of the right ones taken at the same time: of equal names, else of equal last numbers.

    Raises:
        InputError: names do not pair.
    """
    for key in (lambda path: path.stem, _last_number):
        mine, yours = ({key(path): path.name for path in paths} for paths in (left, right))
        if len(mine) == len(left) and len(yours) == len(right) and mine.keys() & yours.keys():
            return {mine[k]: yours[k] for k in mine if k in yours}
    raise InputError(
        f"stereo: {left[0].name} and {right[0].name}: no pairs by name; expected equal names, or names that end in the same number, each once"
    )


def fit_stereo(left: Choice, right: Choice, names: dict[str, str], board: Board) -> Stereo:
    """The pose of the right camera, for the intrinsics that each camera has by itself.

    Raises:
        InputError: too few pairs of views.
    """
    pairs = _pairs(left.views, right.views, names)
    if len(pairs) < MIN_VIEWS:
        raise InputError(
            f"stereo: {len(pairs)} pairs in which both cameras see the board, expected at least {MIN_VIEWS}; pictures are paired by name"
        )
    rms, rotation, shift = _solve(pairs, left.fit, right.fit)
    groups = np.array_split(np.arange(len(pairs)), min(len(pairs), MOST_FITS))
    baselines = []
    for group in groups if len(pairs) > MIN_VIEWS else []:
        rest = [pair for i, pair in enumerate(pairs) if i not in group]
        baselines.append(float(np.linalg.norm(_solve(rest, left.fit, right.fit)[2])))
    n = len(baselines)
    sigma = (
        float(np.sqrt((n - 1) / n) * np.linalg.norm(np.array(baselines) - np.mean(baselines)))
        if n
        else float("nan")
    )
    rays = [(_rays(pair.left, left.fit), _rays(pair.right, right.fit)) for pair in pairs]
    return Stereo(
        pairs,
        rotation,
        shift,
        rms,
        sigma,
        _epipolar_rms(rays, rotation, shift, left.fit, right.fit),
        _own_baselines(pairs, left.fit, right.fit),
        1000 * _sides(pairs, rays, rotation, shift, board),
    )


def disagreements(
    stereo: Stereo, left: Fit, right: Fit, focal_sigmas: tuple[float, float], board: Board
) -> list[str]:
    """Where the cameras contradict each other, a line each; none where they agree.

    Args:
        stereo: the pair.
        left: the first camera's fit.
        right: the second one's.
        focal_sigmas: standard deviations of their focal lengths, px.
        board: whose squares are measured.
    """
    lines = []
    if stereo.epipolar_rms_px > EPIPOLAR_PX:
        lines.append(
            f"corners lie {stereo.epipolar_rms_px:.1f} px from their epipolar lines: were the pictures taken at the same time, and paired rightly?"
        )
    own = float(np.median(stereo.pair_baselines_m))
    spread = float(np.std(stereo.pair_baselines_m)) / len(stereo.pairs) ** 0.5
    limit = max(AGREE_SIGMAS * spread, AGREE_SHARE * stereo.baseline_m)
    if abs(own - stereo.baseline_m) > limit:
        lines.append(
            f"single pairs give a baseline of {1000 * own:.1f} mm, all together {1000 * stereo.baseline_m:.1f} mm"
        )
    side, expected = float(stereo.squares_mm.mean()), 1000 * board.square
    if abs(side - expected) > 2 * AGREE_SHARE * expected:
        lines.append(
            f"squares measured by both cameras have {side:.2f} mm, expected {expected:.2f} mm"
        )
    apart = abs(float(left.values[0] - right.values[0]))
    if left.size_wh == right.size_wh and apart > max(
        AGREE_SIGMAS * float(np.hypot(*focal_sigmas)), 0.02 * left.values[0]
    ):
        lines.append(
            f"focal lengths differ by {apart:.1f} px: are the two cameras of one kind, at one zoom?"
        )
    if stereo.position_m[0] < 0:
        lines.append(
            "the second camera is left of the first: exchange the inputs if it should not be"
        )
    return lines


def _last_number(path: Path) -> str:
    numbers = re.findall(r"\d+", path.stem)
    return str(int(numbers[-1])) if numbers else path.stem


def _pairs(left: Sequence[View], right: Sequence[View], names: dict[str, str]) -> tuple[Pair, ...]:
    others = {view.name: view for view in right}
    pairs = []
    for view in left:
        other = others.get(names.get(view.name, ""))
        if other is None:
            continue
        common = np.intersect1d(view.ids, other.ids)
        mine, yours = (v.without(~np.isin(v.ids, common)) for v in (view, other))
        if len(common) >= 4:
            pairs.append(Pair(f"{view.name}, {other.name}", mine, yours))
    return tuple(pairs)


def _solve(pairs: Sequence[Pair], left: Fit, right: Fit) -> tuple[float, Float64, Float64]:
    flags = cv2.CALIB_FIX_INTRINSIC | (cv2.CALIB_RATIONAL_MODEL if left.model.rational else 0)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-9)
    found = cv2.stereoCalibrate(
        [pair.left.points for pair in pairs],
        [pair.left.corners_px for pair in pairs],
        [pair.right.corners_px for pair in pairs],
        left.matrix,
        left.distortion.copy(),
        right.matrix,
        right.distortion.copy(),
        left.size_wh,
        flags=flags,
        criteria=stop,
    )
    return float(found[0]), np.asarray(found[5], np.float64), np.ravel(found[6]).astype(np.float64)


def _rays(view: View, fit: Fit) -> Float64:
    """``float64[N, 3]``: where the corners lie, at depth 1, without the lens."""
    points = view.corners_px.astype(np.float64).reshape(-1, 1, 2)
    straight = cv2.undistortPoints(points, fit.matrix, fit.distortion).reshape(-1, 2)
    return np.column_stack((straight, np.ones(len(straight))))


def _epipolar_rms(
    rays: list[tuple[Float64, Float64]], rotation: Float64, shift: Float64, left: Fit, right: Fit
) -> float:
    x, y, z = shift
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    mine, yours = (np.concatenate(side) for side in zip(*rays, strict=True))
    lines_right, lines_left = mine @ essential.T, yours @ essential
    gap = (yours * lines_right).sum(axis=1)
    off = [
        fit.values[0] * gap / np.linalg.norm(lines[:, :2], axis=1)
        for fit, lines in ((right, lines_right), (left, lines_left))
    ]
    return float(np.sqrt(np.mean(np.square(off))))


def _own_baselines(pairs: Sequence[Pair], left: Fit, right: Fit) -> Float64:
    lengths = []
    for pair in pairs:
        motions = []
        for view, fit in ((pair.left, left), (pair.right, right)):
            _, turn, shift = cv2.solvePnP(view.points, view.corners_px, fit.matrix, fit.distortion)
            motion = np.eye(4)
            motion[:3, :3], motion[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
            motions.append(motion)
        lengths.append(np.linalg.norm((motions[1] @ np.linalg.inv(motions[0]))[:3, 3]))
    return np.array(lengths)


def _sides(
    pairs: Sequence[Pair],
    rays: list[tuple[Float64, Float64]],
    rotation: Float64,
    shift: Float64,
    board: Board,
) -> Float64:
    """Distances of neighbouring corners where both cameras' rays meet, m."""
    first, second = np.eye(3, 4), np.column_stack((rotation, shift))
    sides = []
    for pair, (mine, yours) in zip(pairs, rays, strict=True):
        four = cv2.triangulatePoints(first, second, mine[:, :2].T, yours[:, :2].T)
        place = dict(zip(pair.left.ids.tolist(), (four[:3] / four[3]).T, strict=True))
        for i, there in place.items():
            right_of = i + 1 if (i + 1) % board.columns else -1
            sides += [
                np.linalg.norm(place[j] - there)
                for j in (right_of, i + board.columns)
                if j in place
            ]
    return np.array(sides)
