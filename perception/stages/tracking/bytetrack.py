"""ByteTrack of the package ``trackers``: boxes of low score carry on the tracks of objects that are half hidden.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", 2022, arXiv 2110.06864. The package differs from it: a new
track needs two frames in a row, and time passes by the frames' dates, so that dropped frames do not slow objects down.
"""

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from perception.core.types import Detections, Float32, Int64, Tracks
from perception.stages.tracking.base import Tracker

# Hz: the unit of time within the tracker, and the rate where frames have no dates
FRAME_RATE = 30.0
LEAST_SCORE = 0.5  # of the threshold above which boxes are shown: the paper's 0.1 and its lower half, for thresholds of any size


class ByteTracker(Tracker):
    """See `Tracker`; a track is kept for a second after its object was last seen."""

    def __init__(self, score_threshold: float, *, live: bool) -> None:
        super().__init__(score_threshold, live=live)
        self.least_score = LEAST_SCORE * score_threshold
        self._tracker = ByteTrackTracker(
            frame_rate=FRAME_RATE,
            track_activation_threshold=score_threshold,
            high_conf_det_threshold=score_threshold,
        )

    def update(self, detections: Detections, seconds: float | None) -> tuple[Detections, Tracks]:
        """See `Tracker.update`."""
        found = self._tracker.update(
            sv.Detections(
                xyxy=detections.boxes_xyxy,
                confidence=detections.scores,
                class_id=detections.class_ids,
                data={"row": np.arange(len(detections))},
            ),
            timestamp=seconds,
        )
        ids = np.full(len(detections), -1, np.int64)
        if found.tracker_id is not None and len(found):
            ids[found.data["row"]] = found.tracker_id  # it gives them back in an order of its own
        shown = (detections.scores >= self.score_threshold) | (ids >= 0)
        kept = Detections(
            detections.boxes_xyxy[shown], detections.scores[shown], detections.class_ids[shown]
        )
        return kept, Tracks(ids[shown], self._velocities(ids[shown]))

    def _velocities(self, ids: Int64) -> Float32:
        """Of each edge, px a second, by the tracker's filters; 0 where there is no track."""
        known = {
            track.tracker_id: track.state_estimator.kf.state.reshape(-1)[4:8] * FRAME_RATE
            for track in self._tracker.tracks
            if track.tracker_id >= 0
        }
        rows = [known.get(track_id, np.zeros(4)) for track_id in ids.tolist()]
        return np.asarray(rows, np.float32).reshape(-1, 4)
