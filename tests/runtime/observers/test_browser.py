"""The page in a real browser."""

import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from perception.core.timing import FrameTiming, LatencyReport

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
FIRST_PICTURE_S = 2.0
# whether something was drawn: a canvas is clear until then
DRAWN = "() => { const c = document.getElementById('picture'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0); }"
PIXELS = "id => document.getElementById(id).toDataURL()"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser):
    """A page, and the errors in its console."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.errors = []
    # warnings are about how the tests look at the page
    tab.on("console", lambda said: said.type == "error" and tab.errors.append(said.text))
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    yield tab
    context.close()


@pytest.fixture(params=[("0", 1)], ids=["loopback"])
def address(request):
    """Of the page of a real run: the shipped model on the shipped drive, played as if live for 40 s or until the test is over."""
    where, cameras = request.param
    command = [sys.executable, "-m", "perception", "run", "--live", "--fps", "5", "--web", where]
    command += ["--source", "demo"] * cameras + ["--size", "640x192"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        line = run.stderr.readline()
        found = re.fullmatch(r"watch at (http://\S+)\n", line)
        assert found, line + run.stderr.read()
        yield found[1].replace(socket.gethostname(), "127.0.0.1")
        run.terminate()
        run.communicate(timeout=30)
        assert run.returncode == 130


def until(tab, expression, *arguments, limit_s=20.0):
    """Wait until the page finds the expression true; the page's own policy forbids to let the browser look."""
    deadline = time.monotonic() + limit_s
    while not tab.evaluate(expression, *arguments):
        assert time.monotonic() < deadline, f"{expression}; console: {tab.errors}"
        tab.wait_for_timeout(20)


def test_the_page_shows_the_run(tab, address):
    began = time.monotonic()
    tab.goto(address)
    until(tab, DRAWN)
    assert time.monotonic() - began < FIRST_PICTURE_S
    until(tab, "timings.length > 5")
    assert tab.text_content("#state") == "live"
    assert int(tab.text_content("#finished")) > 0
    assert int(tab.text_content("#dropped")) >= 0
    for plot in ("ages", "stages"):
        before = tab.evaluate(PIXELS, plot)
        until(tab, f"before => ({PIXELS})('{plot}') !== before", before)
    assert {"read", "infer", "postprocess"} <= set(tab.evaluate("stages"))
    assert not tab.errors


def test_layers_can_be_switched_off(tab, address):
    tab.goto(address)
    until(tab, "last && last.head.boxes.length > 0 && last.head.road_outline_px.length > 0")
    tab.evaluate("socket.onmessage = null")  # the picture stands still
    tab.wait_for_timeout(300)
    pictures = [tab.evaluate(PIXELS, "picture")]
    for layer in ("map", "boxes", "outline"):
        tab.click(f"#{layer}")
        pictures.append(tab.evaluate(PIXELS, "picture"))
    assert len(set(pictures)) == 4
    for layer in ("map", "boxes", "outline"):
        tab.click(f"#{layer}")
    assert tab.evaluate(PIXELS, "picture") == pictures[0]
    assert len(tab.query_selector_all("#rows tr")) == int(tab.text_content("#count")) > 0


@pytest.mark.parametrize("address", [("0", 3)], indirect=True, ids=["cameras"])
def test_each_camera_can_be_chosen(tab, address):
    tab.goto(address)
    until(tab, "last !== null")
    for camera in ("2", "0"):
        tab.select_option("#camera", camera)
        until(tab, f"last.head.camera === {camera}")


@pytest.mark.parametrize("address", [("0.0.0.0:0", 1)], indirect=True, ids=["token"])
def test_without_the_token_a_browser_gets_nothing(tab, address):
    for wrong in (address.partition("?")[0], f"{address}x"):
        answer = tab.goto(wrong)
        assert answer.status == 403
        assert "the token is missing or wrong" in tab.text_content("body")
        assert tab.query_selector("canvas") is None


def test_the_last_picture_stays_when_the_run_ends(tab, open_page, make_scene):
    page = open_page()
    page.write(make_scene(5, (320, 192)))
    page.observe(FrameTiming(5, 1, 2, {"infer": 3}), LatencyReport(0))
    tab.goto(page.url)
    until(tab, "last !== null")
    page.close()
    until(tab, "ended")
    assert tab.text_content("#state") == "run ended"
    assert tab.evaluate(DRAWN)
    assert tab.text_content("#frame") == "5"
    assert not tab.errors
