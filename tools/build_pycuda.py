"""Compile pycuda where no CUDA toolkit and no driver are installed: ``build_pycuda.py FOLDER`` leaves its wheel there.

There are no wheels of pycuda. Its source wants NVIDIA's headers, which two packages carry, and a driver to link with, for which an
empty library stands in: nothing of it is called before the real one is loaded. It takes a C++ compiler and about two minutes.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2026.1"
HEADERS = ("nvidia-cuda-runtime==13.0.96", "nvidia-cuda-profiler-api==13.0.85", "nvidia-cuda-crt")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


def run(*command: str | Path, **options: str) -> None:
    """Run a command in the folder ``cwd``; the other options are set in its environment."""
    folder = options.pop("cwd", None)
    words = [str(word) for word in command]
    subprocess.run(words, check=True, cwd=folder, env={**os.environ, **options})  # noqa: S603 (words of this file)


def build(folder: Path, work: Path) -> None:
    """Make the wheel in `folder`, with `work` for everything in between."""
    run(*PIP, "install", "--no-deps", "--target", work / "headers", *HEADERS)
    run(*PIP, "download", "--no-deps", "--no-binary", "pycuda", "-d", work, f"pycuda=={VERSION}")
    with tarfile.open(work / f"pycuda-{VERSION}.tar.gz") as source:
        source.extractall(work, filter="data")
    link = work / "link"
    link.mkdir()
    empty = ("-x", "c", "/dev/null", "-Wl,-soname,libcuda.so.1")
    run("gcc", "-shared", *empty, "-o", link / "libcuda.so")
    tree = work / f"pycuda-{VERSION}"
    run(
        sys.executable,
        "configure.py",
        "--no-cuda-enable-curand",
        f"--cuda-inc-dir={work / 'headers' / 'nvidia' / 'cu13' / 'include'}",
        f"--cudadrv-lib-dir={link}",
        "--cxxflags=-w",
        cwd=str(tree),
    )
    flags = {"LDFLAGS": "-Wl,--no-as-needed", "CFLAGS": "-O1"}
    run(*PIP, "wheel", "--no-deps", "-w", folder, tree, **flags)


def main(arguments: list[str]) -> int:
    """Make the wheel in the folder named by the one argument, unless it is there."""
    if len(arguments) != 1:
        sys.stderr.write("usage: build_pycuda.py FOLDER\n")
        return 2
    folder = Path(arguments[0]).resolve()
    if not list(folder.glob(f"pycuda-{VERSION}-*.whl")):
        with tempfile.TemporaryDirectory() as work:
            build(folder, Path(work))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
