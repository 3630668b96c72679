"""The web application: one page, one socket, and who may have them."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from hashlib import sha256
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from perception.runtime.observers.web.message import Messages
from perception.runtime.observers.web.news import News, NewsBoard

PAGE: Final = "live.html"
CLIENTS: Final = 8  # pages at a time; each costs some ms of CPU a picture
ACK_S: Final = 10.0  # a page that has not drawn its picture by then is let go
LOOK_UP_S: Final = 0.5  # a wake-up that was lost costs no more
POLICY, BUSY, GONE = 1008, 1013, 1001  # RFC 6455, section 7.4.1; 1013 from IANA's registry


class Gate:
    """Lets in who may see the run; everybody else gets 403.

    On loopback, a name that leads here from elsewhere (DNS rebinding) and pages of other sites are kept out; with a token, everybody who has none.

    Args:
        app: what it guards.
        token: that the address must carry as ``?token=``; empty: none is needed.
        names: by which the port may be asked for; empty: by any.
    """

    def __init__(self, app: ASGIApp, token: str, names: Collection[str]) -> None:
        self._app = app
        self._token = token
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or refuse it."""
        refusal = self._refusal(HTTPConnection(scope))
        if not refusal:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # before it is accepted: answered with 403
            await WebSocket(scope, receive, send).close(POLICY, refusal)
        else:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> str:
        given = asked.query_params.get("token", "").encode()
        if self._token and not hmac.compare_digest(given, self._token.encode()):
            return "the token is missing or wrong: open the address that the run printed"
        host = asked.headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname
            origin = urlsplit(asked.headers.get("origin", f"//{host}")).netloc
        except ValueError:
            return "this is no address"
        if self._names and name not in self._names:
            return "this address is not served"
        return "" if origin == host else "pages of other sites are not served"


def build_app(
    board: NewsBoard, messages: Messages, token: str, names: Collection[str]
) -> Starlette:
    """The application: ``/`` is the page, ``/live`` its socket; `token` and `names` are those of `Gate`."""
    page = files("perception").joinpath("assets", PAGE).read_text(encoding="utf-8")
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    clients = _Clients(board, messages)

    async def serve_page(_: Request) -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    return Starlette(
        routes=[Route("/", serve_page), WebSocketRoute("/live", clients.serve)],
        middleware=[Middleware(Gate, token=token, names=names)],
    )


class _Clients:
    """The pages that are open."""

    def __init__(self, board: NewsBoard, messages: Messages) -> None:
        self._board = board
        self._messages = messages
        self._count = 0

    async def serve(self, socket: WebSocket) -> None:
        """One page: the newest picture, once it has drawn the one before, so that a slow page falls behind by one."""
        if self._count >= CLIENTS:
            await socket.close(BUSY, f"{CLIENTS} pages are open already")
            return
        self._count += 1
        tab = _Tab()
        wake = partial(_set_from_thread, asyncio.get_running_loop(), tab.changed)
        self._board.subscribe(wake)
        try:
            await socket.accept()
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(_listen(socket, tab))
                await self._feed(socket, tab)
                listening.cancel()
        except* (WebSocketDisconnect, TimeoutError):
            # it left, or stopped reading; a farewell would wait for it as well
            pass
        finally:
            self._count -= 1
            self._board.unsubscribe(wake)

    async def _feed(self, socket: WebSocket, tab: "_Tab") -> None:
        shown: News | None = None
        told = 0  # up to which number its timings were sent
        while (news := await self._next(tab, shown)) is not None:
            timings = self._board.timings(told, news.number)
            message = await asyncio.to_thread(self._messages.build, news, timings)
            shown, told = news, max(told, news.number)
            tab.drawn.clear()
            async with asyncio.timeout(ACK_S):
                await socket.send_bytes(message)
                await tab.drawn.wait()
        async with asyncio.timeout(ACK_S):
            await socket.send_text(json.dumps({"ended": True}))
            await socket.close(GONE)

    async def _next(self, tab: "_Tab", shown: News | None) -> News | None:
        """What is newest of the camera that is looked at, unless it is shown; ``None`` once nothing more will come."""
        while (news := self._board.newest(tab.camera)) is None or news is shown:
            if self._board.ended:
                return None
            try:
                async with asyncio.timeout(LOOK_UP_S):
                    await tab.changed.wait()
            except TimeoutError:
                continue
            tab.changed.clear()
        tab.camera = news.scene.frame.camera
        return news


class _Tab:
    """What one page wants: `camera`, ``None`` until it knows of any; `drawn`, it has drawn what it got; `changed`, look again."""

    def __init__(self) -> None:
        self.camera: int | None = None
        self.drawn = asyncio.Event()
        self.changed = asyncio.Event()


async def _listen(socket: WebSocket, tab: _Tab) -> None:
    """Take in what a page says, ``drawn`` or ``camera N``, until it leaves, which ends its feed too."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", GONE))
        word, _, number = (message.get("text") or "").partition(" ")
        if word == "drawn":
            tab.drawn.set()
        elif word == "camera" and number.isdecimal():
            tab.camera = int(number)
            tab.changed.set()


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the server has ended: nobody looks any more
        loop.call_soon_threadsafe(event.set)
