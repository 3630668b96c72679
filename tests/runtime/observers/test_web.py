"""The page's server: who gets what, and that no page can hold up the loop."""

import http.client
import json
import socket
import struct
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn")
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from perception.core.errors import ConfigError, RunError
from perception.core.manifest import DEFAULT_ENGINE, load_engine
from perception.core.timing import FrameTiming, LatencyReport
from perception.runtime.observers.web import app
from perception.runtime.observers.web.message import WIDTH_PX, Messages
from perception.runtime.observers.web.server import TOKEN_VARIABLE
from perception.runtime.pipeline import Pipeline
from perception.sinks.base import SinkGroup
from tests.runtime.loop import FakeBackend, FakeSource

LIMIT_S = 20  # for what comes at once on a quiet machine


class Run:
    """Stands for a loop with a page: `finish` is one more finished frame."""

    def __init__(self, page, make_scene):
        self.page = page
        self._make_scene = make_scene
        self._report = LatencyReport(warmup=0)
        self._count = 0

    def finish(self, size_wh=(64, 48), camera=0):
        scene = self._make_scene(self._count, size_wh)
        scene = replace(scene, frame=replace(scene.frame, camera=camera))
        timing = FrameTiming(self._count, time.monotonic_ns(), 7_000_000, {"infer": 5_000_000})
        self._report.add(timing)
        self.page.write(scene)
        self.page.observe(timing, self._report)
        self._count += 1
        return scene


@pytest.fixture
def run(open_page, make_scene):
    return Run(open_page(), make_scene)


def status(url, at="127.0.0.1", **headers):
    """Status of GET, to this machine, whatever name the headers say."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(at, parts.port, timeout=LIMIT_S)) as asked:
        asked.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        with asked.getresponse() as answer:
            answer.read()
            return answer.status


def live(page, query=None, **options):
    parts = urlsplit(page.url)
    query = parts.query if query is None else query
    return connect(f"ws://127.0.0.1:{parts.port}/live?{query}", open_timeout=LIMIT_S, **options)


def refused(page, query=None, **options):
    """Whether a socket is answered with 403."""
    try:
        with live(page, query, **options):
            return False
    except InvalidStatus as answer:
        return answer.response.status_code == 403


def read(message):
    """Head, picture and class map of a message."""
    (length,) = struct.unpack(">I", message[:4])
    head = json.loads(message[4 : 4 + length])
    rest = message[4 + length :]
    jpeg, png = rest[: head["jpeg_bytes"]], rest[head["jpeg_bytes"] :]
    assert len(png) == head["map_bytes"]
    decoded = [
        cv2.imdecode(np.frombuffer(data, np.uint8), how)
        for data, how in ((jpeg, cv2.IMREAD_COLOR), (png, cv2.IMREAD_UNCHANGED))
    ]
    return head, *decoded


def wait_for(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


# --- who gets what -------------------------------------------------------------------------------------------------------


def test_what_is_no_address_is_refused_without_a_word_on_stderr(run, capfd):
    assert status(run.page.url, Host="[") == 403
    assert status(run.page.url, Origin="http://[") == 403
    assert capfd.readouterr().err == ""


def test_every_address_of_this_machine_alone_answers_by_its_own_name(open_page):
    page = open_page("127.0.0.2:0")
    assert "token" not in page.url
    assert status(page.url, at="127.0.0.2") == 200


def test_this_machine_gets_the_page_and_nothing_else(run):
    assert status(run.page.url) == 200
    for path in ("live.html", "assets/live.html", "../pyproject.toml", "docs"):
        assert status(run.page.url + path) == 404


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "elsewhere.example:80", "127.0.0.1.nip.io", ""]
)
def test_a_name_that_only_leads_here_is_refused(run, host):
    assert status(run.page.url, Host=host) == 403


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "http://127.0.0.1:1", "null"])
def test_a_page_of_another_site_gets_no_socket(run, origin):
    assert refused(run.page, origin=origin)


def test_any_token_can_be_set(monkeypatch, open_page):
    monkeypatch.setenv(TOKEN_VARIABLE, "a&b+c/é #")
    page = open_page()
    assert status(page.url) == 200
    assert not refused(page)


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=%C3%A9", "tokens=right"])
def test_without_the_right_token_there_is_neither_page_nor_socket(monkeypatch, open_page, query):
    monkeypatch.setenv(TOKEN_VARIABLE, "right")
    page = open_page()
    assert page.url.endswith("?token=right")
    assert status(page.url) == 200
    assert status(f"{page.url.partition('?')[0]}?{query}") == 403
    assert refused(page, query)
    assert not refused(page)


def test_other_machines_need_a_token_of_this_run(open_page):
    first, second = open_page("0.0.0.0:0"), open_page("0.0.0.0:0")
    tokens = [urlsplit(page.url).query for page in (first, second)]
    assert all(len(token) > len("token=") + 20 for token in tokens)
    assert tokens[0] != tokens[1]
    for page in (first, second):
        assert socket.gethostname() in page.url  # 0.0.0.0 leads nowhere from there
        assert status(page.url, Host="the-car.example") == 200
        assert status(page.url.partition("?")[0], Host="the-car.example") == 403


@pytest.mark.parametrize("address", ["x", "80:", "99999", ""])
def test_what_is_no_address_is_a_usage_error(open_page, address):
    with pytest.raises(ConfigError, match="expected PORT or HOST:PORT"):
        open_page(address)


def test_a_port_that_is_taken_is_an_error_in_one_line(open_page):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"--web {port}: cannot be served") as caught:
            open_page(str(port))
    assert "\n" not in str(caught.value)


# --- what comes ----------------------------------------------------------------------------------------------------------


def test_a_message_has_the_result_whole_and_both_pictures(run):
    with live(run.page) as client:
        scene = run.finish((1920, 1080))
        head, picture, class_map = read(client.recv(LIMIT_S))
    assert picture.shape == (720, WIDTH_PX, 3)
    assert abs(float(picture.mean()) - scene.frame.image.mean()) < 2
    assert class_map.shape[2] == 4
    top, bottom = class_map[10, 10], class_map[-10, 10]
    assert top[3] == 0 < bottom[3]  # the sky is clear, the road is tinted
    assert head["size_wh_px"] == [1920, 1080]
    assert head["boxes"][0]["class"] == "vehicle"
    assert (head["finished"], head["dropped"], head["cameras"]) == (1, 0, 1)
    assert head["timings"][0]["stages_ms"] == {"infer": 5.0}


def test_a_page_gets_the_newest_and_the_timings_of_all(run):
    with live(run.page) as client:
        for count in (1, 5, 3):
            wanted = [run.finish().frame.frame_id for _ in range(count)]
            if count == 1:
                first, *_ = read(client.recv(LIMIT_S))
                assert len(first["timings"]) == 1
                continue
            if count == 5:
                continue  # meanwhile the page draws the first
            client.send("drawn")
            head, *_ = read(client.recv(LIMIT_S))
            assert head["frame_id"] == wanted[-1]
            assert len(head["timings"]) == 8


def test_a_page_that_comes_later_sees_what_was_last(run):
    run.finish()
    with live(run.page) as client:
        assert read(client.recv(LIMIT_S))[0]["frame_id"] == 0


def test_a_camera_that_is_silent_can_be_left_again(run):
    """The first picture is of any camera; of a chosen one the last comes, however old."""
    run.finish(camera=1)
    with live(run.page) as client:
        assert read(client.recv(LIMIT_S))[0]["camera"] == 1
        client.send("drawn")
        client.send("camera 0")
        run.finish(camera=1)
        client.send("camera 1")
        head, *_ = read(client.recv(LIMIT_S))
        assert (head["camera"], head["frame_id"]) == (1, 1)
        run.finish(camera=2)
        client.send("drawn")
        client.send("camera 2")
        assert read(client.recv(LIMIT_S))[0]["camera"] == 2
        client.send("drawn")
        client.send("camera 1")
        assert read(client.recv(LIMIT_S))[0]["frame_id"] == 1


def test_nothing_is_encoded_where_no_page_is_open(run, monkeypatch):
    built = []
    whole = Messages.build
    monkeypatch.setattr(Messages, "build", lambda *a: built.append(1) or whole(*a))
    for _ in range(20):
        run.finish()
    assert status(run.page.url) == 200
    assert not built
    with live(run.page) as client:
        client.recv(LIMIT_S)
    assert len(built) == 1


def test_pages_hear_of_the_end_of_the_run(run):
    with live(run.page) as client:
        run.finish()
        client.recv(LIMIT_S)
        client.send("drawn")
        run.page.close()
        assert json.loads(client.recv(LIMIT_S)) == {"ended": True}
    run.page.close()


def test_only_so_many_pages_at_a_time(run):
    run.finish()
    with ExitStack() as stack:
        clients = [stack.enter_context(live(run.page)) for _ in range(app.CLIENTS)]
        for client in clients:
            client.recv(LIMIT_S)
        assert refused(run.page)
        clients[0].close()
        wait_for(lambda: not refused(run.page))


# --- the loop goes on ----------------------------------------------------------------------------------------------------


def test_a_page_that_stops_reading_is_let_go_and_the_loop_goes_on(open_page, monkeypatch):
    """It asks for the socket and never reads what comes; all frames are finished meanwhile."""
    monkeypatch.setattr(app, "ACK_S", 0.2)
    built = []
    whole = Messages.build
    monkeypatch.setattr(Messages, "build", lambda *a: built.append(1) or whole(*a))
    page = open_page()
    manifest = load_engine(DEFAULT_ENGINE).manifest
    source = FakeSource(200, interval_s=0.005)
    loop = Pipeline(source, FakeBackend(), manifest, SinkGroup((page,)), observers=(page,))
    with silent_page(page) as silent, loop:
        loop.run()
        assert len(built) == 1  # for a page that does not draw, nothing more is made
        while silent.recv(1 << 16):  # to the end: it was let go
            pass
    assert loop.report.finished == 200


@pytest.mark.parametrize("wanted", ["drawn", "camera 99", "", b"binary"])
def test_pages_that_leave_while_nothing_comes_make_room_for_others(run, wanted):
    for _ in range(app.CLIENTS):
        with live(run.page) as client:
            client.send(wanted)
            client.send(wanted)
    wait_for(lambda: not refused(run.page))


def silent_page(page):
    """A socket for which a page has asked, and from which nothing more is read."""
    parts = urlsplit(page.url)
    silent = socket.create_connection(("127.0.0.1", parts.port), LIMIT_S)
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent.sendall(
        f"GET /live HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert silent.recv(12) == b"HTTP/1.1 101"
    return silent
