"""Trackers by name. To add one: a file with a class that overrides `Tracker`, and a line here."""

from typing import TYPE_CHECKING

from perception.core.registry import Registry

if TYPE_CHECKING:
    from perception.stages.tracking.base import Tracker

# name -> callable(score_threshold: float, *, live: bool) -> Tracker
TRACKERS = Registry(
    "tracker",
    {"bytetrack": "perception.stages.tracking.bytetrack:ByteTracker"},
    extras={"bytetrack": "track"},
)


def open_tracker(name: str, score_threshold: float, *, live: bool) -> "Tracker | None":
    """The tracker of this name for one stream; ``None`` for an empty name.

    Raises:
        ConfigError: unknown name, or its package is not installed.
    """
    tracker: Tracker | None = TRACKERS[name](score_threshold, live=live) if name else None
    return tracker
