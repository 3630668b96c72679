"""The contract of an observer."""

from abc import abstractmethod

from perception.core.process import Closing
from perception.core.timing import FrameTiming, LatencyReport


class Observer(Closing):
    """Gets the account of each finished frame, in the caller's thread; it must be quick."""

    @abstractmethod
    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:
        """Take note of a frame.

        Args:
            timing: of this frame.
            report: of the run so far, this frame included.

        Raises:
            OutputError: what was noted cannot be written.
        """
