"""What a build may choose, and how its plan is called."""

from dataclasses import dataclass
from pathlib import Path

from perception.backends.plan import PLAN_SUFFIX
from perception.core.errors import ConfigError
from perception.core.geometry import (
    SIZE_MULTIPLE,
    Letterbox,
    choose_model_size,
    fit_letterbox,
)

Shape = tuple[int, ...]
KITTI_WH = (1242, 375)  # of the frames whose input size is the default


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a build may choose.

    Attributes:
        precision: ``"fp16"``, ``"fp32"`` or ``"int8"``.
        size_wh: of what the network sees, px, multiples of 32; ``None``: what the loop chooses for frames of `frame_wh`, else of KITTI's.
        frame_wh: of whole frames, px, which the plan fits to `size_wh` itself; ``None``: it takes fitted ones.
        max_size_wh: largest input, with `size_wh` the smallest: then height and width are free between both.
        batch: frames at once.
        max_batch: largest batch, with `batch` the smallest: then the batch is free.
        product: of `perception.backends.plan.PRODUCTS`; empty: TensorRT where it is installed, else TensorRT-RTX.
        capabilities: compute capabilities to compile for, ``"8.6"``; TensorRT-RTX only.
        hardware_compatibility: ``"none"``, ``"ampere_plus"`` or ``"same_compute_capability"``.
        version_compatible: let later versions of the product load the plan.
        strip: leave the weights out, for a loader of one's own that refits the plan; the runner of this project does not.
        refit: let weights be changed after the build.
        workspace_mib: limit of the scratch memory; ``None``: the product's own.
        level: of the builder's effort, 0 to 5; ``None``: the product's own.
        timing_cache: file of timed kernels, read and written; TensorRT only.
        save_onnx: file for the typed graph, for other builders.
        check_frames: frames of the shipped drive on which the typed graph must agree with float32; 0: it is not checked.
    """

    precision: str = "fp16"
    size_wh: tuple[int, int] | None = None
    frame_wh: tuple[int, int] | None = None
    max_size_wh: tuple[int, int] | None = None
    batch: int = 1
    max_batch: int | None = None
    product: str = ""
    capabilities: tuple[str, ...] = ()
    hardware_compatibility: str = "none"
    version_compatible: bool = False
    strip: bool = False
    refit: bool = False
    workspace_mib: int | None = None
    level: int | None = None
    timing_cache: Path | None = None
    check_frames: int = 8
    save_onnx: Path | None = None

    def __post_init__(self) -> None:
        for size in (self.size_wh, self.max_size_wh):
            if size is not None and (
                min(size) < SIZE_MULTIPLE or any(n % SIZE_MULTIPLE for n in size)
            ):
                raise ConfigError(
                    f"size {size[0]}x{size[1]}: expected multiples of {SIZE_MULTIPLE}"
                )
        if self.batch < 1 or (self.max_batch is not None and self.max_batch < self.batch):
            raise ConfigError(
                f"batch {self.batch} to {self.max_batch}: expected at least 1, rising"
            )
        if self.max_size_wh is not None and self.size_wh is None:
            raise ConfigError("--max-size needs --size, the smallest input")
        if self.frame_wh is not None and (
            self.max_size_wh or (self.batch, self.max_batch or 1) != (1, 1)
        ):
            raise ConfigError(
                "--frame: a plan that fits frames takes one of one size; leave out --max-size, --batch and --max-batch"
            )
        if self.check_frames < 0:
            raise ConfigError(f"--check {self.check_frames}: expected at least 0")
        if self.level is not None and not 0 <= self.level <= 5:
            raise ConfigError(f"--level {self.level}: expected 0 to 5")

    def network_wh(self, max_pixels: int) -> tuple[int, int]:
        """Width and height of what the network sees, px; the smallest where they are free."""
        return self.size_wh or choose_model_size(self.frame_wh or KITTI_WH, max_pixels)

    def fit(self, max_pixels: int) -> Letterbox | None:
        """The fit that the plan does itself; ``None``: it takes fitted frames."""
        if self.frame_wh is None:
            return None
        return fit_letterbox(self.frame_wh, self.network_wh(max_pixels))

    def shapes(self, max_pixels: int) -> tuple[Shape, Shape]:
        """Smallest and largest shape of the input."""
        width, height = self.frame_wh or self.network_wh(max_pixels)
        wide, high = self.max_size_wh or (width, height)
        if wide < width or high < height:
            raise ConfigError(f"--max-size {wide}x{high}: expected at least {width}x{height}")
        return (self.batch, height, width, 3), (self.max_batch or self.batch, high, wide, 3)


def plan_name(
    options: BuildOptions, low: Shape, high: Shape, product: str, fit: Letterbox | None = None
) -> str:
    """``fp16-1248x384-rtx.engine``; free axes are named by their ends, a fit by what it makes: ``fp16-1920x1080-fit928x544.engine``."""

    def span(first: object, last: object) -> str:
        return f"{first}" if first == last else f"{first}..{last}"

    size = span(f"{low[2]}x{low[1]}", f"{high[2]}x{high[1]}")
    fitted = "" if fit is None else f"-fit{fit.model_wh[0]}x{fit.model_wh[1]}"
    batch = "" if high[0] == 1 else f"-b{span(low[0], high[0])}"
    ends = ("-rtx" if product == "tensorrt_rtx" else "") + ("-stripped" if options.strip else "")
    return f"{options.precision}-{size}{fitted}{batch}{ends}{PLAN_SUFFIX}"
