"""Fetch TensorRT's Python bindings of several versions, without TensorRT itself: ``fetch_bindings.py FOLDER``.

They are small, and importable over libraries that do nothing: so that tests see whether every name that is used exists in each.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

# JetPack 6, JetPack 7, the newest that was looked at
VERSIONS = {
    "10.3.0": "tensorrt-cu12-bindings",
    "10.16.1.11": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu13-bindings",
}
NEWEST_PYTHON = {"10.3.0": (3, 12)}  # that a version has wheels for
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
SOURCE = Path(__file__).parents[1] / "tests" / "doubles" / "nvinfer.c"


def fetch(folder: Path, package: str, version: str) -> None:
    """Unpack the bindings of one version into ``FOLDER/VERSION``, with its libraries' stand-ins in ``lib``."""
    target = folder / version
    if (target / "lib").is_dir():
        return
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download"]
    if sys.version_info[:2] > NEWEST_PYTHON.get(version, (99,)):
        sys.stderr.write(f"{package} {version} has no wheel for this Python; left out\n")
        return
    subprocess.run(  # noqa: S603 (words of this file)
        [*pip, "--no-deps", "--only-binary", ":all:", "-d", str(target), f"{package}=={version}"],
        check=True,
    )
    for wheel in target.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(target)
        wheel.unlink()
    made = target / "lib.part"
    made.mkdir(exist_ok=True)
    major = version.partition(".")[0]
    for name in LIBRARIES:
        library = f"lib{name}.so.{major}"
        options = ["-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(made / library)]
        subprocess.run(["gcc", str(SOURCE), *options], check=True)  # noqa: S603, S607 (the compiler of the PATH)
    made.rename(target / "lib")


def main(arguments: list[str]) -> int:
    """Fetch all versions into the folder named by the one argument."""
    if len(arguments) != 1:
        sys.stderr.write("usage: fetch_bindings.py FOLDER\n")
        return 2
    for version, package in VERSIONS.items():
        fetch(Path(arguments[0]), package, version)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
