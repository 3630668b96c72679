"""The page's server, in threads of its own: the loop only pins up what is newest."""

import ipaddress
import logging
import os
import secrets
import socket
import threading
from typing import Final
from urllib.parse import quote

import uvicorn

from perception.core.errors import RunError
from perception.core.timing import FrameTiming, LatencyReport
from perception.core.types import Scene
from perception.runtime.observers.address import LOOPBACK, parse_address
from perception.runtime.observers.base import Observer
from perception.runtime.observers.web.app import build_app
from perception.runtime.observers.web.message import Messages
from perception.runtime.observers.web.news import NewsBoard
from perception.sinks.base import Sink, SinkContext

logger = logging.getLogger(__name__)

TOKEN_VARIABLE: Final = "PERCEPTION_WEB_TOKEN"  # noqa: S105 (the name of a variable)
LOOPBACK_NAMES: Final = frozenset({LOOPBACK, "localhost", "::1"})
STOP_S: Final = 2  # that pages have at the end of a run to hear of it


class WebPage(Sink, Observer):
    """Serves the page. As a sink it gets what was seen, as an observer what it cost; nothing is drawn or encoded where no page is open.

    Args:
        address: ``PORT``, which is served to this machine alone, or ``HOST:PORT``, for which a token is needed; port 0 takes a free one.
        context: names of the classes, number of cameras.

    Attributes:
        url: to open, with the token where one is needed: that in ``PERCEPTION_WEB_TOKEN``, or a new one for each run.

    Raises:
        ConfigError: the address is none.
        RunError: the port is taken, or the host is not of this machine.
    """

    def __init__(self, address: str, context: SinkContext) -> None:
        host, port = parse_address(address)
        loopback = host in LOOPBACK_NAMES or _leads_to(host, "is_loopback")
        token = os.environ.get(TOKEN_VARIABLE) or ("" if loopback else secrets.token_urlsafe(16))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            raise RunError(
                f"--web {address}: cannot be served: {error.strerror or error}; choose another address"
            ) from error
        self._board = NewsBoard()
        # by another name, a page of another site may have led here (DNS rebinding)
        names = {*LOOPBACK_NAMES, host} if loopback else frozenset[str]()
        app = build_app(self._board, Messages(context), token, names)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws_per_message_deflate=False,  # pictures are compressed already
                ws_max_size=1024,  # a page says no more than a number
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self._scene: Scene | None = None
        if _leads_to(host, "is_unspecified"):
            host = socket.gethostname()  # what it listens on leads nowhere from another machine
        named = f"[{host}]" if ":" in host else host
        query = f"?token={quote(token, safe='')}" if token else ""
        self.url = f"http://{named}:{listener.getsockname()[1]}/{query}"
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="perception-web", daemon=True
        )
        self._thread.start()

    def write(self, scene: Scene) -> None:
        """Remember the scene for `observe`."""
        self._scene = scene

    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:
        """Pin up the scene with its timing."""
        if self._scene is not None:
            self._board.put(self._scene, timing, report)

    def close(self) -> None:
        """Tell the pages that the run has ended, and serve no more; a second call does nothing."""
        if self._board.ended:
            return
        self._board.end(STOP_S)
        self._server.should_exit = True
        self._thread.join(2 * STOP_S)
        if self._thread.is_alive():
            logger.warning("the web page's server did not end within %d s", 2 * STOP_S)


def _leads_to(host: str, kind: str) -> bool:
    """Whether a host is an address of this kind: ``"is_loopback"``, ``"is_unspecified"``; a name is none."""
    try:
        return bool(getattr(ipaddress.ip_address(host), kind))
    except ValueError:
        return False
