"""Build, verify and time the shipped model on this machine's GPU, and write it down: ``gpu_report.py [ENGINE]``.

Leaves ``engines/ENGINE/gpu-report.md``, to be committed. Each figure in it comes from a command that the page names.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perception.backends.device import open_device
from perception.backends.products import find_product

ROOT = Path(__file__).parents[1]
PERCEPTION = (sys.executable, "-m", "perception")
SIZES = (  # of the input, and of the frame where the plan fits it itself
    ("640x384", ""),
    ("1248x384", ""),
    ("928x544", ""),
    ("928x544", "1920x1080"),
)
PRECISIONS = ("fp16", "int8", "fp32")

Result = dict[str, Any]


def perception(*words: str) -> Result:
    """Run a command; what it closes with. Its progress and its tables go to this terminal."""
    sys.stderr.write(f"perception {' '.join(words)}\n")
    done = subprocess.run(  # noqa: S603 (our own command)
        [*PERCEPTION, *words], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        sys.exit(done.returncode)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def plan_rows(timed: list[tuple[Result, Result]]) -> list[str]:
    """A row of the table for each plan: what was built, how long it takes."""
    rows = []
    for built, bench in timed:
        parts = (bench["device_ms"][part]["p50"] for part in ("upload", "compute", "download"))
        latency = (bench["latency_ms"][key] for key in ("p50", "p99"))
        cells = (
            bench["precision"],
            f"{bench['frame']} to {bench['size']}" if bench["frame"] else bench["size"],
            f"{built['build_s']:.0f} s",
            f"{built['bytes'] / 1e6:.1f} MB",
            *(f"{value:.2f}" for value in (*latency, *parts)),
            f"{bench['fps']:.0f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def page(engine: str, timed: list[tuple[Result, Result]], loop: Result, parity: str) -> str:
    """The report as Markdown."""
    device, today = timed[0][1]["device"], datetime.now(UTC).date().isoformat()
    lines = [
        f"# {engine} on {device}, {today}",
        "",
        "Written by `make gpu-report`. Latency is from the call to its return, with the copies; upload, compute and download are by the GPU's clock; "
        "all ms. The rate is with two frames in flight (`perception build`, `perception bench plan`).",
        "",
        "| precision | size | build | plan | latency p50 | p99 | upload p50 | compute p50 | download p50 | fps |",
        f"|{'---|' * 10}",
        *plan_rows(timed),
        "",
        "The loop on the shipped drive, FP16 (`perception bench loop --backend tensorrt`):",
        "",
        f"```json\n{json.dumps(loop, indent=1)}\n```",
        "",
        parity.replace("# ", "## ", 1),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Make the report of the engine named by the one argument; default: the shipped one."""
    engine = arguments[0] if arguments else "road-lean"
    with open_device() as device:
        capability = device.capability
    target = () if find_product().needs_gpu else ("--compute-capability", capability)
    folder = ROOT / "engines" / engine
    report = folder / "gpu-report.md"
    timed: list[tuple[Result, Result]] = []
    loop: Result = {}
    parity = "# Not verified: see what perception verify says\n"
    for size, frame in SIZES:
        for precision in PRECISIONS:
            chosen: tuple[str, ...] = ("--engine", engine, "--precision", precision, "--size", size)
            chosen += ("--frame", frame) if frame else ()
            built = perception("build", *chosen, *target)
            timed.append((built, perception("bench", "plan", *chosen)))
            report.write_text(page(engine, timed, loop, parity), encoding="utf-8")
    loop = perception("bench", "loop", "--engine", engine, "--backend", "tensorrt")
    report.write_text(page(engine, timed, loop, parity), encoding="utf-8")
    # last: it needs the labelled data, and fails where a plan is outside its tolerance
    try:
        perception("verify", "--engine", engine)
    finally:
        if (folder / "parity.md").is_file():
            parity = (folder / "parity.md").read_text(encoding="utf-8")
        report.write_text(page(engine, timed, loop, parity), encoding="utf-8")
        sys.stdout.write(f"{report}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
