"""A recording played as if it were a camera: each frame comes when it is due, and not before."""

import time
from collections.abc import Iterator

from perception.core.errors import ConfigError
from perception.sources.base import Picture, Source


class PacedSource(Source):
    """Plays another source at its own rate; a frame counts as captured at the moment it is due.

    The next frame is decoded before it is due, as a camera's exposure is over when its frame comes. A reader that is late
    gets the frame at once, with the time at which it was due: its lateness is part of the age.

    Args:
        recording: the source to play; closed with this one.
        fps: play at this rate instead of at the recording's timestamps; needed where it has none.

    Raises:
        ConfigError: the recording has no timestamps and no rate was given.
    """

    def __init__(self, recording: Source, fps: float | None = None) -> None:
        super().__init__(recording.name)
        rate = fps or recording.fps
        if rate is None:
            raise ConfigError(
                f"{recording.name}: has no frame rate, so it cannot be played live; give one with --fps, "
                "or leave out --live"
            )
        self._recording = recording
        self._rate = rate
        self._by_timestamps = fps is None
        self.live = True
        self.fps = rate
        self.size_wh = recording.size_wh
        self.length = recording.length

    def _pictures(self) -> Iterator[Picture]:
        start_ns: int | None = None
        for frame in self._recording:
            offset_ns = self._offset_ns(frame.frame_id, frame.stream_s)
            if start_ns is None:
                start_ns = time.monotonic_ns() - offset_ns
            due_ns = start_ns + offset_ns
            wait_ns = due_ns - time.monotonic_ns()
            if wait_ns > 0 and self._stopping.wait(wait_ns / 1e9):
                return
            yield Picture(frame.image, due_ns, frame.stream_s, frame.truth)

    def _offset_ns(self, index: int, stream_s: float | None) -> int:
        if self._by_timestamps and stream_s is not None:
            return round(stream_s * 1e9)
        return round(index / self._rate * 1e9)

    def stop(self) -> None:
        """Stop the recording too."""
        super().stop()
        self._recording.stop()

    def close(self) -> None:
        """Close the recording too."""
        super().close()
        self._recording.close()
