"""The threads of one run, which end together."""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

JOIN_S = 5.0  # a thread that has not ended by then is left behind; a network read ends by itself


class Threads:
    """Daemon threads. Whoever starts them tells their bodies to end before it joins them."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    @property
    def started(self) -> bool:
        """Whether there are any."""
        return bool(self._threads)

    def spawn(self, name: str, body: Callable[..., None], *arguments: object) -> None:
        """Start one, named ``perception-NAME``."""
        thread = threading.Thread(
            target=body, args=arguments, name=f"perception-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait for all, `JOIN_S` in all, and log which are left behind."""
        deadline = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logger.warning("thread %s did not end within %g s", thread.name, JOIN_S)
