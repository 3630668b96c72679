"""The contract of a tracker: it says which boxes of one frame are the objects of the frames before."""

from dataclasses import replace

from perception.core.types import Detections, Frame, Scene, Tracks


class Tracker:
    """Gives the boxes of a stream identities, frame by frame, in the order of time.

    Args:
        score_threshold: boxes of this score or more are shown, in [0, 1].
        live: the frames are dated by when they were taken; otherwise by the recording's own time, where it has one.

    Attributes:
        least_score: the lowest score of a box that `update` wants to see: one below `score_threshold` may still carry on a track.
    """

    least_score: float

    def __init__(self, score_threshold: float, *, live: bool) -> None:
        self.score_threshold = self.least_score = score_threshold
        self._live = live

    def track(self, scene: Scene) -> Scene:
        """The scene with `Scene.tracks`, and without boxes below the threshold that carry on no track."""
        detections, tracks = self.update(scene.detections, self._seconds(scene.frame))
        return replace(scene, detections=detections, tracks=tracks)

    def update(self, detections: Detections, seconds: float | None) -> tuple[Detections, Tracks]:
        """Those boxes that are shown, best first, and their tracks.

        Args:
            detections: of one frame, of score at least `least_score`.
            seconds: when the frame was taken, from any zero; ``None`` where nobody knows: then frames follow each other evenly.
        """
        raise NotImplementedError

    def _seconds(self, frame: Frame) -> float | None:
        return frame.captured_ns / 1e9 if self._live else frame.stream_s
