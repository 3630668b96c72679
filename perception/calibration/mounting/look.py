"""The shipped engine as something to look through: a frame in, a scene out."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from perception.backends import DEFAULT_BACKEND
from perception.backends.sized import SizedBackends
from perception.calibration.mounting.observe import Look
from perception.core.camera import Camera, build_undistorter
from perception.core.errors import ConfigError
from perception.core.geometry import choose_model_size
from perception.core.manifest import load_engine
from perception.core.types import Frame, Scene
from perception.stages.postprocess import Reading, postprocess
from perception.stages.preprocess import preprocess


@contextmanager
def open_look(
    name: str, backend: str, precision: str, camera: Camera
) -> Iterator[tuple[Look, int, int]]:
    """Open an engine: the function that looks, the index of road in its class map, and that of vehicles among its boxes.

    The lens of the camera, at the size of the frames, is undone before the engine and done again to what it sees.

    Raises:
        ConfigError: it knows no road or no vehicles.
        EngineError: no such engine, or damaged.
    """
    engine = load_engine(name)
    manifest = engine.manifest
    if "road" not in manifest.map_classes or "vehicle" not in manifest.box_classes:
        raise ConfigError(
            f"engine {name}: expected one that knows road and vehicle, got {(*manifest.map_classes, *manifest.box_classes)}; "
            "choose another engine, or --no-engine"
        )
    reading, undistorter = Reading.of(manifest), build_undistorter(camera)

    with SizedBackends(backend or DEFAULT_BACKEND, engine, precision) as backends:

        def look(frame: Frame) -> Scene:
            size_wh = choose_model_size(frame.size_wh, manifest.max_pixels)
            fed = preprocess(frame, size_wh, undistorter=undistorter)
            outputs = backends.infer(fed.feed)
            kept = {key: np.array(array) for key, array in outputs.items()}
            return postprocess(frame, kept, fed.box, reading)

        yield look, manifest.map_classes.index("road"), manifest.box_classes.index("vehicle")
