"""The contract of a source: an iterator of frames of one size. Knows nothing of who reads them or how fast."""

import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from perception.core.errors import InputError
from perception.core.process import Closing
from perception.core.types import Frame, Truth, UInt8


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a source hands to its base: a frame before it is numbered and checked.

    Attributes:
        image: ``uint8[H, W, 3]``, BGR.
        captured_ns: `time.monotonic_ns` when it left the camera, or when its reading began.
        stream_s: the source's own timestamp in seconds, ``None`` where it has none.
        truth: of a synthetic drive, ``None`` where nobody knows.
    """

    image: UInt8
    captured_ns: int
    stream_s: float | None
    truth: Truth | None = None


class Source(Closing):
    """Pictures from somewhere, numbered from 0. Iterate it once, from one thread.

    All pictures of a recording have one size; those of a live source may change theirs.

    Attributes:
        name: what was opened, for messages and reports.
        live: whether the world goes on when nobody reads; such frames may be dropped by the reader.
        fps: nominal frames a second, ``None`` where unknown.
        size_wh: width and height of a frame, px; of a live source, of the last one.
        length: number of frames, ``None`` where unknown or endless.
        patience_s: how long it may be silent while it is waited for, s.
        endless: whether its end is a loss, as a camera's is.
    """

    name: str
    live: bool
    fps: float | None
    size_wh: tuple[int, int]
    length: int | None = None
    patience_s: float = 0.0
    endless: bool = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._stopping = threading.Event()

    @property
    def events(self) -> Mapping[str, int]:
        """What went wrong so far and how often: ``reconnects``, ``frozen``, ``resized``, ``damaged`` pictures; empty where nothing is watched."""
        return {}

    @abstractmethod
    def _pictures(self) -> Iterator[Picture]:
        """The pictures in order; end soon once `_stopping` is set.

        Raises:
            InputError: the input turned out to be damaged; pictures yielded before stay good.
        """

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures()):
            if self._stopping.is_set():
                return
            frame = Frame(
                picture.image, index, picture.captured_ns, picture.stream_s, picture.truth
            )
            if frame.size_wh != self.size_wh and self.live:
                self.size_wh = frame.size_wh
            elif frame.size_wh != self.size_wh:
                want, got = ("x".join(map(str, size)) for size in (self.size_wh, frame.size_wh))
                raise InputError(
                    f"{self.name}: frame {index} has another size than those before: expected {want}, got {got}; "
                    "cut the recording there and run the parts one by one"
                )
            yield frame

    def stop(self) -> None:
        """Ask the iteration to end after the frame at hand; may be called from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Give back files and devices; only when nobody iterates any more. A second call does nothing."""
        self._stopping.set()
