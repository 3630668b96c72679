"""From a trained network to an engine folder: ONNX with everything in the graph, weights, manifest."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from torch.export import Dim

from perception.core.config import build_config, dump_config
from perception.core.errors import OutputError
from perception.core.geometry import SIZE_MULTIPLE
from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.core.manifest import (
    FREE_AXES,
    GRAPH_INPUT,
    INT8_FILE,
    ONNX_FILE,
    PARITY_FILE,
    PARITY_PAGE,
    WEIGHTS_FILE,
    Engine,
    EngineManifest,
    TensorSpec,
    load_engine,
    sha256,
    write_manifest,
)
from perception.models.config import GraphConfig
from perception.models.graph import InferenceGraph
from perception.models.multitask import MultiTaskModel
from perception.models.weights import Weights, build_network, load_network, save_weights, shippable
from perception.training.checkpoint import read_checkpoint
from perception.training.config import TrainConfig

logger = logging.getLogger(__name__)

OPSET = 18  # read by TensorRT 10.3 and later
MAX_BATCH = 64
EXAMPLE_HW = (96, 160)  # of the frame that the graph is traced with; it holds for any size

LICENCES = {
    "camvid": "CamVid (CC BY-NC 4.0)",
    "kitti_object": "KITTI object (CC BY-NC-SA 3.0)",
    "kitti_road": "KITTI road (CC BY-NC-SA 3.0)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What an export may choose.

    Attributes:
        score_threshold: boxes below it are not shown, in [0, 1].
        max_pixels: larger frames are scaled down to this many px unless a size is asked for: KITTI's size by default.
        mask: form of the box mask; ``None``: as the run was configured.
        mask_threshold: its tau, in [0, 1]; ``None``: as the run was configured.
        mask_strength: of the form ``soft``, for each box class; ``None``: as the run was configured.
        extras: further outputs, of `perception.core.manifest.EVALUATION_OUTPUTS`.
    """

    score_threshold: float = 0.4
    max_pixels: int = 1248 * 384
    mask: str | None = None
    mask_threshold: float | None = None
    mask_strength: tuple[float, ...] | None = None
    extras: tuple[str, ...] = ()


def export_checkpoint(checkpoint: Path, folder: Path, options: ExportOptions) -> Engine:
    """Write the engine folder of a checkpoint: ``model.onnx``, ``weights.safetensors``, ``manifest.json``."""
    config, weights = read_checkpoint(checkpoint)
    network = build_network(config.model, shippable(weights))
    trained_on = tuple(LICENCES.get(entry.name, entry.name) for entry in config.data.sets)
    return export_network(network, config, folder, options, trained_on)


def export_network(
    network: MultiTaskModel,
    config: TrainConfig,
    folder: Path,
    options: ExportOptions,
    trained_on: tuple[str, ...],
) -> Engine:
    """Write the engine folder of a network; `config` is of its training."""
    stored = shippable(network.state_dict())
    drawn = config.graph
    if options.mask is not None:
        drawn = replace(drawn, mask=options.mask)
    if options.mask_threshold is not None:
        drawn = replace(drawn, mask_threshold=options.mask_threshold)
    if options.mask_strength is not None:
        drawn = replace(drawn, mask_strength=options.mask_strength)
    config = replace(config, graph=drawn)
    graph = InferenceGraph(network, config.graph, options.extras)
    return _write(graph, stored, folder, options, dump_config(config), trained_on)


def export_variant(
    engine: Engine, folder: Path, *, extras: Sequence[str] = (), mask: str | None = None
) -> Engine:
    """Write another graph of the same weights, for example with the outputs that an evaluation needs.

    Args:
        engine: whose weights are taken.
        folder: of the new engine.
        extras: further outputs, of `perception.core.manifest.EVALUATION_OUTPUTS`.
        mask: another form of the box mask; ``None``: the same.
    """
    network, graph_config = load_network(engine)
    manifest = engine.manifest
    table = dump_config(graph_config) | ({"mask": mask} if mask else {})
    options = ExportOptions(
        score_threshold=manifest.score_threshold,
        max_pixels=manifest.max_pixels,
        extras=tuple(extras),
    )
    graph = InferenceGraph(network, build_config(GraphConfig, table, "graph"), extras)
    config = {**manifest.config, "graph": table}
    stored = shippable(network.state_dict())
    return _write(graph, stored, folder, options, config, manifest.trained_on)


def _write(
    graph: InferenceGraph,
    weights: Weights,
    folder: Path,
    options: ExportOptions,
    config: Mapping[str, Any],
    trained_on: tuple[str, ...],
) -> Engine:
    return write_engine(
        graph,
        folder,
        weights,
        mask_form=graph.config.mask,
        mask_threshold=graph.config.mask_threshold,
        score_threshold=options.score_threshold,
        max_pixels=options.max_pixels,
        task=graph.model.config.task,
        trained_on=trained_on,
        config=config,
    )


def write_engine(
    graph: nn.Module,
    folder: Path,
    weights: Weights,
    **described: Any,  # noqa: ANN401 (fields of the manifest)
) -> Engine:
    """Write a graph with its weights and its manifest, and read them back.

    Args:
        graph: takes ``uint8[N, H, W, 3]``, gives tensors by name.
        folder: of the engine.
        weights: what is stored beside the graph.
        described: the fields of `EngineManifest` that the graph does not tell itself.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (INT8_FILE, PARITY_FILE, PARITY_PAGE):  # of the graph that was here
            (folder / stale).unlink(missing_ok=True)
        save_weights(folder / WEIGHTS_FILE, weights)
        model = to_onnx(graph)
        (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the engine: {error.strerror}") from error
    packages = ("torch", "onnx", "onnxscript", "timm")
    manifest = EngineManifest(
        name=folder.name,
        inputs=_specs(model.graph.input),
        outputs=_specs(model.graph.output),
        box_classes=BOX_CLASSES,
        map_classes=MAP_CLASSES,
        onnx_sha256=sha256(folder / ONNX_FILE),
        weights_sha256=sha256(folder / WEIGHTS_FILE),
        versions={name: version(name) for name in packages},
        created=datetime.now(UTC).date().isoformat(),
        **described,
    )
    write_manifest(folder, manifest)
    return load_engine(folder)


def to_onnx(graph: nn.Module) -> onnx.ModelProto:
    """Trace the graph with free batch, height and width (multiples of 32) and name its axes."""
    frame = torch.zeros((2, *EXAMPLE_HW, 3), dtype=torch.uint8)
    names = list(graph.eval()(frame))
    multiple = SIZE_MULTIPLE
    axes = {
        0: Dim(FREE_AXES[0], min=1, max=MAX_BATCH),
        1: multiple * Dim("rows", min=1, max=256),
        2: multiple * Dim("columns", min=1, max=256),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph,
            (frame,),
            input_names=[GRAPH_INPUT],
            output_names=names,
            opset_version=OPSET,
            dynamic_shapes=({**axes},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr]  # a program, since dynamo=True
    _name_axes(model)
    _drop_traces(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _name_axes(model: onnx.ModelProto) -> None:
    """Give the free axes of inputs and outputs plain names; the exporter leaves expressions such as ``32*rows``."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        image = len(dims) == len(FREE_AXES) or value.name == GRAPH_INPUT
        for axis, dim in enumerate(dims):
            if not dim.HasField("dim_value"):
                named = axis == 0 or image  # an axis of a feature map is a fraction of the frame's
                dim.dim_param = FREE_AXES[axis] if named else f"{value.name}_{axis}"


def _drop_traces(model: onnx.ModelProto) -> None:
    """Take out the exporter's notes on every node and value: stack traces with the paths of the machine that exported."""
    graph = model.graph
    noted = (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph)
    for owner in (*noted, *model.functions):
        del owner.metadata_props[:]
        owner.ClearField("doc_string")


def _specs(values: Any) -> dict[str, TensorSpec]:  # noqa: ANN401 (a protobuf container)
    specs = {}
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
        specs[value.name] = TensorSpec(dtype, shape)
    return specs
