"""The page of the GPU report, from results as the commands close with them."""

from tools.gpu_report import page

BUILT = {"build_s": 41.6, "bytes": 10_600_000}
TIMES = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0, "n": 500}
BENCH = {
    "precision": "fp16",
    "size": "640x384",
    "frame": "",
    "device": "some GPU, tensorrt 10.3.0",
    "latency_ms": TIMES,
    "device_ms": {"upload": TIMES, "compute": {**TIMES, "p50": 0.5}, "download": TIMES},
    "fps": 812.4,
}


def test_every_plan_has_a_row_and_the_page_names_device_and_commands():
    whole = {**BENCH, "frame": "1920x1080"}
    timed = [(BUILT, BENCH), (BUILT, whole)]
    text = page("road-lean", timed, {"ratio": 0.9}, "# parity\n\n| a |\n")
    assert text.startswith("# road-lean on some GPU, tensorrt 10.3.0, ")
    assert (
        "| fp16 | 640x384 | 42 s | 10.6 MB | 1.00 | 3.00 | 1.00 | 0.50 | 1.00 | 812 |"
        in text.splitlines()
    )
    assert "| fp16 | 1920x1080 to 640x384 | 42 s |" in text
    for command in ("make gpu-report", "perception build", "perception bench plan"):
        assert f"`{command}`" in text
    assert '"ratio": 0.9' in text
    assert "## parity" in text
