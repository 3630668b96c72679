"""What a run shows: the line, the table, the picture."""

import pytest
from rich.console import Console

from perception.core.timing import FrameTiming, LatencyReport
from perception.runtime.account import ProgressLine, camera_table, plot_latency, report_table

MS = 1_000_000


@pytest.fixture
def report():
    """Six frames, two of them warm-up, one dropped."""
    filled = LatencyReport(warmup=2, first_id=0)
    for index, frame_id in enumerate((0, 1, 2, 4, 5, 6)):
        stages = {"read": MS, "infer": (10 + index) * MS}
        filled.add(FrameTiming(frame_id, index * 20 * MS, 40 * MS, stages, {"infer": 5 * MS}))
    return filled


def test_the_table_shows_each_stage_with_its_percentiles_and_the_age(report):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(report_table(report))
    text = capture.get()
    assert "6 frames, 1 dropped, 50.0 fps" in text
    assert "first 2 frames are left out" in text
    (infer,) = [line for line in text.splitlines() if "infer" in line]
    assert [cell.strip() for cell in infer.split("│")[2:-1]] == [
        "4", "13.50", "14.85", "14.97", "15.00", "5.00",
    ]  # fmt: skip


def test_the_line_tells_frames_rate_age_and_drops(report, make_scene):
    progress = ProgressLine(200)
    with progress:
        progress.show(make_scene(), report)
        progress.show(make_scene(), report)
    assert progress.line(report).startswith("6/200 frames")
    assert progress.line(report).endswith("1 dropped")


@pytest.mark.parametrize("empty", [True, False])
def test_the_picture_is_a_png_even_of_nothing(report, tmp_path, empty):
    path = tmp_path / "latency.png"
    plot_latency(LatencyReport(0) if empty else report, path, "tiny")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_table_of_cameras_tells_which_one_was_silent_and_which_is_lost():
    account = {
        "dropped": 1,
        "age_ms": {"p50": 12.34, "p95": 20.0},
        "stalls": 0,
        "longest_silence_s": 0.1,
        "lost": "",
    }
    cameras = [
        {**account, "camera": 0, "source": "rtsp://a", "frames": 90},
        {**account, "camera": 1, "source": "/a/long/path/to/the/pictures/of/left", "frames": 3, "stalls": 2, "longest_silence_s": 8.04},
        {**account, "camera": 2, "source": "camera:[2]", "frames": 7, "lost": "unplugged"},
    ]  # fmt: skip
    console = Console(width=80)
    with console.capture() as capture:
        console.print(camera_table(cameras))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines()]
    assert [row for row in rows if row] == [
        ["0: rtsp://a", "90", "1", "12.3", "20.0", "0.1", ""],
        ["1: …ictures/of/left", "3", "1", "12.3", "20.0", "8.0", "stalled 2x"],
        ["2: camera:[2]", "7", "1", "12.3", "20.0", "0.1", "lost"],
    ]
