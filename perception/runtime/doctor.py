"""What of this machine the software can use, what is missing, and the way to get it.

Looks and reports: it changes nothing, downloads nothing, and a part that is absent is a finding, never an error.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import av
import cv2
from av.codec.hwaccel import HWAccel, hwdevices_available
from rich.table import Table

from perception.backends import BACKENDS
from perception.backends.cpu import cpu_name
from perception.core.errors import PerceptionError
from perception.core.manifest import ENGINES_DIR, MANIFEST_FILE, load_engine, sha256
from perception.core.process import usable_cores
from perception.datasets.base import DATA_VARIABLE
from perception.runtime import machine

# import name -> distribution that has the version, the way to get it
PACKAGES = (
    ("torch", "torch", "only for training and export: pip install 'perception[train]'"),
    ("tensorrt", "tensorrt", "needs an NVIDIA GPU: pip install tensorrt; on a Jetson it comes with JetPack"),
    ("tensorrt_rtx", "tensorrt-rtx-cu12", "needs an NVIDIA GPU to run: pip install tensorrt-rtx-cu12"),
    ("pycuda.driver", "pycuda", "needs an NVIDIA driver and, to be installed, the CUDA toolkit: pip install pycuda"),
    ("cuda.bindings.driver", "cuda-bindings", "instead of pycuda: pip install 'perception[tensorrt]'"),
    ("foxglove", "foxglove-sdk", "only for the sink mcap: pip install 'perception[mcap]'"),
    ("rerun", "rerun-sdk", "only for the sink rerun: pip install 'perception[rerun]'"),
    ("prometheus_client", "prometheus-client", "only for --metrics: pip install 'perception[metrics]'"),
    ("mlperf_loadgen", "mlcommons-loadgen", "only for bench loadgen: pip install 'perception[loadgen]'"),
    ("pynvml", "nvidia-ml-py", "only for power and clocks in bench latency: pip install 'perception[power]'"),
    ("uvicorn", "uvicorn", "only for --web: pip install 'perception[web]'"),
    ("yaml", "pyyaml", "only for ROS camera_info files in calibrate convert: pip install 'perception[ros]'"),
    ("nuscenes", "nuscenes-devkit", "only for the data set nuscenes: pip install 'perception[nuscenes]', beside NumPy 1"),
    ("trackers", "trackers", "only for --tracker: pip install 'perception[track]'"),
)  # fmt: skip

# codec name, mode of PyAV, what needs it
CODECS: tuple[tuple[str, Literal["r", "w"], str], ...] = (
    ("h264", "r", "reads most recordings"),
    ("hevc", "r", "reads H.265 recordings"),
    ("mjpeg", "r", "reads most USB cameras"),
    ("libx264", "w", "writes overlay.mp4"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the machine.

    Attributes:
        area: heading it stands under, such as ``"GPU"``.
        name: what was looked at.
        ok: whether it can be used.
        detail: what was found.
        way_out: how to get what is missing; empty where nothing is.
    """

    area: str
    name: str
    ok: bool
    detail: str
    way_out: str = ""


def examine() -> list[Finding]:
    """Look at everything, area by area, in the order in which it is read."""
    areas: Sequence[Callable[[], Iterator[Finding]]] = (
        _machine, _gpu, _packages, _backends, _codecs, _devices, _engines, _data,
    )  # fmt: skip
    return [finding for look in areas for finding in look()]


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as plain tables for JSON."""
    return [asdict(finding) for finding in findings]


def findings_table(findings: Sequence[Finding]) -> Table:
    """The findings as a table for the terminal, one block an area."""
    table = Table("area", "what", "", "found", title="perception doctor", title_justify="left")
    area = ""
    for finding in findings:
        if area and finding.area != area:
            table.add_section()
        detail = f"{finding.detail}\n-> {finding.way_out}" if finding.way_out else finding.detail
        heading = finding.area if finding.area != area else ""
        mark = "[green]yes[/]" if finding.ok else "[yellow]no[/]"
        table.add_row(heading, finding.name, mark, _plain(detail))
        area = finding.area
    return table


def _plain(text: str) -> str:
    """Keep rich from reading ``perception[train]`` as a colour."""
    return text.replace("[", r"\[")


def _machine() -> Iterator[Finding]:
    area = "machine"
    board = machine.read_text(machine.BOARD)
    yield Finding(area, "system", True, " ".join(filter(None, (platform.platform(), board))))
    python_fits = sys.version_info >= (3, 11)
    yield Finding(
        area,
        "python",
        python_fits,
        platform.python_version(),
        "" if python_fits else "install 3.11",
    )
    cores = usable_cores()
    yield Finding(area, "processor", True, f"{cpu_name()}, {cores} cores for this process")
    features = machine.cpu_features()
    yield Finding(
        area,
        "CPU features",
        bool(features),
        " ".join(features) or "none known here: neither x86-64 with AVX2 nor ARMv8 was recognised",
    )
    bf16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & set(features))
    detail = "bfloat16 arithmetic in hardware" if bf16 else "no bfloat16 arithmetic in hardware"
    yield Finding(area, "CPU bf16", bf16, detail, "" if bf16 else "stay with --precision fp32")
    memory = machine.memory_gib()
    found = f"{memory[0]:.1f} GiB, {memory[1]:.1f} GiB free" if memory else "unknown"
    yield Finding(area, "memory", memory is not None, found)


def _gpu() -> Iterator[Finding]:
    area = "GPU"
    gpus = machine.nvidia_gpus()
    if gpus.driver:
        yield Finding(area, "NVIDIA driver", True, gpus.driver)
    for gpu in gpus.devices:
        compute = ".".join(map(str, gpu.compute))
        yield Finding(area, gpu.name, True, f"compute {compute}, {gpu.memory_gib:.1f} GiB")
    if not gpus.problem:
        return
    loaded = machine.read_text(machine.NVIDIA_DRIVER).partition("\n")[0]
    detail = f"none found ({gpus.problem})" + (f"; kernel module: {loaded}" if loaded else "")
    yield Finding(
        area, "NVIDIA GPU", False, detail, "the CPU backends need none; for a GPU install its NVIDIA driver"
    )  # fmt: skip


def _packages() -> Iterator[Finding]:
    for module, distribution, way_out in PACKAGES:
        try:
            import_module(module)
        except ModuleNotFoundError:
            yield Finding("packages", module, False, "not installed", way_out)
        except (ImportError, OSError, RuntimeError) as error:
            detail = f"installed, but cannot be imported: {_first_line(error)}"
            yield Finding("packages", module, False, detail, way_out)
        else:
            yield Finding("packages", module, True, _version(distribution, module))


def _version(distribution: str, module: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # as on a Jetson, where it comes from the system
        return str(getattr(sys.modules[module], "__version__", "version unknown"))


def _backends() -> Iterator[Finding]:
    for name in BACKENDS:
        try:
            found = BACKENDS[name].probe()
        except (PerceptionError, ImportError, OSError) as error:
            reason, _, way_out = _first_line(error).partition("; ")
            yield Finding("backends", name, False, reason, way_out)
        else:
            yield Finding("backends", name, True, found)


def _codecs() -> Iterator[Finding]:
    for name, mode, use in CODECS:
        way = "decoder" if mode == "r" else "encoder"
        try:
            av.codec.Codec(name, mode)
        except (ValueError, LookupError):
            yield Finding(
                "codecs", f"{name} {way}", False, f"missing; it {use}", "reinstall PyAV: pip install av"
            )  # fmt: skip
        else:
            yield Finding("codecs", f"{name} {way}", True, f"PyAV {version('av')}; {use}")
    built_in = sorted(set(hwdevices_available()))
    opened = [device for device in built_in if _decodes_h264(device)]
    detail = f"H.264 by {', '.join(opened)}" if opened else f"none opens of {', '.join(built_in)}"
    yield Finding("codecs", "hardware decoding", bool(opened), detail)


def _decodes_h264(device: str) -> bool:
    try:
        HWAccel(device, allow_software_fallback=False).create(av.codec.Codec("h264", "r"))
    except (OSError, RuntimeError, ValueError, av.FFmpegError):
        return False
    return True


def _devices() -> Iterator[Finding]:
    cameras = sorted(Path("/dev").glob("video*"))
    usable = [path for path in cameras if os.access(path, os.R_OK)]
    if not cameras:
        yield Finding(
            "devices", "cameras", False, "no /dev/video*", "connect one; recordings need none"
        )
    elif not usable:
        yield Finding(
            "devices", "cameras", False, f"{len(cameras)} found, none may be read", "join the group video"
        )  # fmt: skip
    else:
        yield Finding("devices", "cameras", True, ", ".join(str(path) for path in usable))
    shown_by = next((name for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)), "")
    has_display = bool(shown_by) or sys.platform in {"darwin", "win32"}
    toolkit = _opencv_toolkit()
    ok = has_display and toolkit != "NONE"
    way_out = "" if ok else "use --sink overlay=FILE.mp4 instead of --sink window"
    detail = f"{shown_by or 'no display'}, OpenCV windows by {toolkit}"
    yield Finding("devices", "window", ok, detail, way_out)


def _opencv_toolkit() -> str:
    for line in cv2.getBuildInformation().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "GUI":
            return value.strip() or "NONE"
    return "NONE"


def _engines() -> Iterator[Finding]:
    folders = sorted(path.parent for path in ENGINES_DIR.glob(f"*/{MANIFEST_FILE}"))
    if not folders:
        yield Finding(
            "engines", "none", False, f"no engine in {ENGINES_DIR}", "make one with: perception export"
        )  # fmt: skip
    for folder in folders:
        yield _engine(folder)


def _engine(folder: Path) -> Finding:
    try:
        engine = load_engine(folder)
    except PerceptionError as error:
        return Finding("engines", folder.name, False, str(error), "restore it or export it again")
    manifest = engine.manifest
    if not engine.weights_path.is_file():
        state = "no weights file: it runs, but cannot be trained further"
    elif sha256(engine.weights_path) != manifest.weights_sha256:
        return Finding(
            "engines",
            folder.name,
            False,
            f"{engine.weights_path.name} is not the file the manifest names",
            "restore it or export it again",
        )
    else:
        state = "hashes fit"
    return Finding(
        "engines", folder.name, True, f"{manifest.task}, {manifest.precision}, {manifest.created}; {state}"
    )  # fmt: skip


def _data() -> Iterator[Finding]:
    root = os.environ.get(DATA_VARIABLE, "")
    sets = (
        sorted(path.name for path in Path(root).iterdir() if path.is_dir())
        if root and Path(root).is_dir()
        else []
    )
    if sets:
        yield Finding("data", DATA_VARIABLE, True, f"{root}: {', '.join(sets)}")
        return
    yield Finding(
        "data",
        DATA_VARIABLE,
        False,
        f"{root}: no data sets there" if root else "not set",
        "only for training and evaluation: set it to the folder of the data sets",
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
