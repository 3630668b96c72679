"""The board that is held before the camera: how many corners, how large, and its picture to print."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from perception.core.errors import ConfigError
from perception.core.types import Float32, UInt8

MM_PER_INCH = 25.4
MARGIN_SQUARES = 1.0  # white around a printed board: the search for corners needs some
MIN_SIDE = 3  # corners; smaller patterns are found in anything
PNG_HEAD = 33  # bytes of the signature and of the chunk that comes first
MAX_DPI = 100_000
MAX_PIXELS = 200_000_000  # of a picture to print: A2 at 600 dpi is 139 million


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A flat chessboard, or a ChArUco board, whose white squares bear markers that tell its corners apart.

    Attributes:
        columns, rows: inner corners, where four squares meet: one fewer than squares.
        square_mm: side of a square; ``None`` where unknown: then lengths count in squares.
        marker_mm: side of a ChArUco marker; ``None``: a plain chessboard.
        dictionary: of the markers, ``"4x4_50"`` for OpenCV's ``DICT_4X4_50``.
    """

    columns: int
    rows: int
    square_mm: float | None = None
    marker_mm: float | None = None
    dictionary: str = ""

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < MIN_SIDE:
            raise ConfigError(
                f"board {self.name}: expected at least {MIN_SIDE}x{MIN_SIDE} inner corners: smaller ones are found by mistake"
            )
        for name, value in (("square", self.square_mm), ("marker", self.marker_mm)):
            if value is not None and not 0 < value < 1e4:
                raise ConfigError(f"board: --{name}-mm: expected more than 0, got {value:g}")
        if self.marker_mm is not None:
            if self.square_mm is None or self.marker_mm >= self.square_mm:
                raise ConfigError(
                    f"board: --marker-mm {self.marker_mm:g}: expected less than the side of a square, got --square-mm "
                    f"{self.square_mm or 'nothing'}: measure both on the print"
                )
            self._check_dictionary()

    @property
    def name(self) -> str:
        """``9x6``: inner corners."""
        return f"{self.columns}x{self.rows}"

    @property
    def kind(self) -> str:
        """``chessboard`` or ``ChArUco board``."""
        return "chessboard" if self.marker_mm is None else "ChArUco board"

    @property
    def square(self) -> float:
        """Side of a square, m; 1 where it is unknown."""
        return 1.0 if self.square_mm is None else self.square_mm / 1000

    @property
    def points(self) -> Float32:
        """``float32[columns * rows, 3]``: the corners on the board, row by row; m, or squares where their size is unknown."""
        grid = np.mgrid[0 : self.columns, 0 : self.rows].T.reshape(-1, 2)
        flat = np.zeros((len(grid), 3), np.float32)
        flat[:, :2] = grid * self.square
        return flat

    @property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        """OpenCV's board; only where there are markers."""
        known = cv2.aruco.getPredefinedDictionary(_dictionaries()[self.dictionary])
        size = (self.columns + 1, self.rows + 1)
        return cv2.aruco.CharucoBoard(size, 1000 * self.square, self.marker_mm or 0.0, known)

    def _check_dictionary(self) -> None:
        known = _dictionaries()
        if self.dictionary not in known:
            raise ConfigError(
                f"board: --dictionary {self.dictionary!r}: expected one of {', '.join(sorted(known))}"
            )
        needed = (self.columns + 1) * (self.rows + 1) // 2
        there = len(cv2.aruco.getPredefinedDictionary(known[self.dictionary]).bytesList)
        if there < needed:
            raise ConfigError(
                f"board {self.name}: --dictionary {self.dictionary} has {there} markers, the board needs {needed}: take a larger one"
            )


def parse_board(
    text: str,
    square_mm: float | None,
    *,
    charuco: bool,
    marker_mm: float | None,
    dictionary: str,
) -> Board:
    """The board of the command line's options; `text` is ``"9x6"``, inner corners.

    Raises:
        ConfigError: they do not fit each other.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(
            f"--board {repr(text) if text else 'is missing'}: expected COLUMNSxROWS of inner corners, for example 9x6 for a board of 10x7 squares"
        )
    if charuco and marker_mm is None:
        raise ConfigError("--charuco: expected --marker-mm, the side of a marker, and --square-mm")
    if not charuco and marker_mm is not None:
        raise ConfigError("--marker-mm is for --charuco; leave it out for a plain chessboard")
    columns, rows = map(int, parts)
    return Board(
        columns=columns,
        rows=rows,
        square_mm=square_mm,
        marker_mm=marker_mm,
        dictionary=dictionary if charuco else "",
    )


def draw_board(board: Board, dpi: float) -> UInt8:
    """A picture to print at 100 %, ``uint8[H, W]``, with a white margin; its first square is black.

    Raises:
        ConfigError: a square's size is missing, or the picture would be too small or too large.
    """
    if board.square_mm is None:
        raise ConfigError("calibrate print: expected --square-mm, the side of a square")
    if not 0 < dpi <= MAX_DPI:
        raise ConfigError(
            f"calibrate print: --dpi: expected more than 0 and at most {MAX_DPI:,}, got {dpi:g}"
        )
    side = round(board.square_mm / MM_PER_INCH * dpi)
    squares = (board.columns + 1, board.rows + 1)
    width, height = (round((n + 2 * MARGIN_SQUARES) * side) for n in squares)
    if side < 10 or width * height > MAX_PIXELS:
        raise ConfigError(
            f"calibrate print: a square of {board.square_mm:g} mm has {side} px at {dpi:g} dpi, the picture {width}x{height}: expected at "
            f"least 10 px a square and at most {MAX_PIXELS:,} in all; change --dpi"
        )
    if board.marker_mm is not None:
        margin = round(MARGIN_SQUARES * side)
        drawn = board.charuco.generateImage((width, height), marginSize=margin, borderBits=1)
        return np.asarray(drawn, np.uint8)
    black = np.add.outer(np.arange(squares[1]), np.arange(squares[0])) % 2 == 0
    pattern = np.where(black, 0, 255).astype(np.uint8)
    margin = round(MARGIN_SQUARES * side)
    return np.pad(np.kron(pattern, np.ones((side, side), np.uint8)), margin, constant_values=255)


def png_to_print(picture: UInt8, dpi: float) -> bytes:
    """A PNG file of ``uint8[H, W]`` that says how large it is on paper."""
    _, encoded = cv2.imencode(".png", picture)
    data = encoded.tobytes()
    per_metre = round(dpi / MM_PER_INCH * 1000)
    chunk = b"pHYs" + per_metre.to_bytes(4, "big") * 2 + b"\x01"  # 1: metres
    sized = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:PNG_HEAD] + sized + data[PNG_HEAD:]


def _dictionaries() -> dict[str, int]:
    """Names of OpenCV's marker dictionaries, as one writes them here, and their numbers."""
    return {
        name.removeprefix("DICT_").lower(): getattr(cv2.aruco, name)
        for name in dir(cv2.aruco)
        if name.startswith("DICT_")
    }
