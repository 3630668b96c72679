"""The ranges of a network's tensors over real frames, by ONNX Runtime's calibrators."""

import io
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
)

from perception.core.errors import ConfigError, InputError
from perception.core.manifest import GRAPH_INPUT
from perception.core.types import UInt8
from perception.export.int8.graph import Span, measured_tensors

# how the ranges are made of the values -> ONNX Runtime's class and its settings
METHODS: dict[str, tuple[type, dict[str, Any]]] = {
    "minmax": (MinMaxCalibrater, {}),
    "percentile": (PercentileCalibrater, {"num_bins": 2048, "percentile": 99.99}),
    "entropy": (EntropyCalibrater, {"num_bins": 128, "num_quantized_bins": 128}),
}
DIGITS = 6  # of a range in the file


class _OneFrame(CalibrationDataReader):
    """Gives one frame: calibrators of histograms keep every tensor of all that one reader gives."""

    def __init__(self, feed: UInt8) -> None:
        self._feeds: Iterator[dict[str, UInt8]] = iter([{GRAPH_INPUT: feed}])

    def get_next(self) -> dict[str, UInt8] | None:
        """The frame, then nothing."""
        return next(self._feeds, None)


def measure_ranges(prepared: ModelProto, feeds: Iterable[UInt8], method: str) -> dict[str, Span]:
    """Run a prepared graph on frames.

    Args:
        prepared: by `perception.export.network.prepare`.
        feeds: ``uint8[1, H, W, 3]``, any sizes.
        method: of `METHODS`.

    Returns:
        Name of a tensor -> lowest and highest value, six digits each.

    Raises:
        ConfigError: unknown method.
        InputError: there was no frame.
    """
    if method not in METHODS:
        raise ConfigError(f"method: expected one of {sorted(METHODS)}, got {method!r}")
    names = measured_tensors(prepared)
    wanted = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(prepared))
    network = wanted.extract_model([GRAPH_INPUT], names)
    infos = {value.name: value for value in network.graph.output}
    del network.graph.output[1:]  # the calibrator adds its own
    calibrater, settings = METHODS[method]

    class Calibrater(calibrater):  # type: ignore[misc, valid-type]  # chosen above
        """One that looks at the tensors asked for, not at all of some types."""

        def select_tensors_to_calibrate(
            self, _model: ModelProto
        ) -> tuple[list[str], dict[str, ValueInfoProto]]:
            return names, infos

    # they report to stdout, of which the last line is ours
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        path = Path(folder) / "network.onnx"
        onnx.save(network, path)
        measured = Calibrater(path, None, str(Path(folder) / "augmented.onnx"), **settings)
        measured.augment_graph()
        measured.create_inference_session()
        count = 0
        for count, feed in enumerate(feeds, 1):  # noqa: B007 (read after the loop)
            measured.collect_data(_OneFrame(feed))
        if not count:
            raise InputError("calibration: no frame was given; expected at least one")
        found = measured.compute_data()
    return {name: _span(*found[name].range_value) for name in names}


def _span(low: Any, high: Any) -> Span:  # noqa: ANN401 (NumPy scalars or arrays of one)
    return float(f"{np.min(low):.{DIGITS}g}"), float(f"{np.max(high):.{DIGITS}g}")
