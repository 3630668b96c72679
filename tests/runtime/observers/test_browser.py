"""The page in a real browser."""

import re
import shutil
import subprocess
import sys
import time

import pytest

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
FIRST_PICTURE_S = 2.0
LIMIT_MS = 20_000
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
    """A page, and what its console said."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.said = []
    tab.on("console", lambda message: tab.said.append((message.type, message.text)))
    tab.on("pageerror", lambda error: tab.said.append(("error", str(error))))
    yield tab
    context.close()


@pytest.fixture(params=[("0", 1), ("0.0.0.0:0", 1), ("0", 3)], ids=["loopback", "token", "cameras"])
def address(request):
    """Of the page of a real run: the shipped model on rendered drives, played as if live, until the test is over."""
    where, cameras = request.param
    command = [sys.executable, "-m", "perception", "run", "--live", "--web", where]
    command += ["--source", "synthetic"] * cameras + ["--size", "320x192"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        line = run.stderr.readline()
        found = re.fullmatch(r"watch at (http://\S+)\n", line)
        assert found, line + run.stderr.read()
        yield found[1].replace("//0.0.0.0", "//127.0.0.1")
        run.terminate()
        run.communicate(timeout=30)
        assert run.returncode == 130


def test_the_page_shows_the_run(tab, address, tmp_path):
    began = time.monotonic()
    tab.goto(address)
    tab.wait_for_function(DRAWN, timeout=LIMIT_MS, polling=20)
    took_s = time.monotonic() - began
    assert took_s < FIRST_PICTURE_S
    tab.wait_for_function("timings.length > 20", timeout=LIMIT_MS)
    assert tab.text_content("#state") == "live"
    assert int(tab.text_content("#finished")) > 0
    assert int(tab.text_content("#dropped")) >= 0
    for plot in ("ages", "stages"):
        before = tab.evaluate(PIXELS, plot)
        tab.wait_for_function(f"before => ({PIXELS})('{plot}') !== before", arg=before)
    assert [e for e in tab.evaluate("stages") if e in ("infer", "read")] == ["read", "infer"]
    assert not tab.said


def test_layers_can_be_switched_off(tab, address):
    tab.goto(address)
    tab.wait_for_function(
        "last && last.head.boxes.length && last.head.road_outline_px.length", timeout=LIMIT_MS
    )
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
