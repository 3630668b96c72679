"""The exported graph parses and builds in NVIDIA's compiler, which needs no GPU for that. Running a plan does."""

import numpy as np
import onnx
import pytest
import tensorrt_rtx as trt

from perception.export.int8.calibrate import measure_ranges
from perception.export.int8.graph import TENSORRT, chosen_nodes, insert_qdq, prepare

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def network(engine):
    """Builder, parsed network and what keeps them alive."""
    return parse(onnx.load(engine.onnx_path))


def parse(model):
    for dim, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, HEIGHT, WIDTH, 3), strict=True
    ):
        dim.dim_value = size
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    parsed = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(parsed, logger)
    assert parser.parse(model.SerializeToString()), [
        str(parser.get_error(i)) for i in range(parser.num_errors)
    ]
    return builder, parsed, parser


def test_types_and_shapes_are_those_of_the_contract(network):
    _, parsed, _ = network
    outputs = {
        t.name: (t.dtype, tuple(t.shape))
        for t in (parsed.get_output(i) for i in range(parsed.num_outputs))
    }
    frame = parsed.get_input(0)
    assert (frame.name, frame.dtype, tuple(frame.shape)) == (
        "frame",
        trt.uint8,
        (1, HEIGHT, WIDTH, 3),
    )
    assert outputs == {
        "boxes_xyxy": (trt.float32, (1, 100, 4)),
        "scores": (trt.float32, (1, 100)),
        "class_ids": (trt.int32, (1, 100)),
        "class_map": (trt.uint8, (1, HEIGHT, WIDTH)),
    }


def test_the_graph_builds(network):
    builder, parsed, _ = network
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    plan = builder.build_serialized_network(parsed, config)
    assert plan is not None
    assert plan.nbytes > 1_000_000


def test_the_int8_graph_from_the_ranges_of_the_cpu_builds_and_its_convolutions_are_int8(engine):
    prepared = prepare(onnx.load(engine.onnx_path))
    frame = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
    ranges = measure_ranges(prepared, [frame], "minmax")
    kept = ["heads.detection.predict", "heads.segmentation.classify"]
    nodes = chosen_nodes(prepared, kept)
    builder, parsed, _parser = parse(insert_qdq(prepared, ranges, nodes, TENSORRT))
    layers = [parsed.get_layer(i) for i in range(parsed.num_layers)]
    pairs = [layer for layer in layers if layer.type == trt.LayerType.QUANTIZE]
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    assert (
        len(pairs) >= len(convolutions) - 4 > 20
    )  # four stay float: three predictions, one classifier
    assert all(layer.get_output(0).dtype == trt.int8 for layer in pairs)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    assert builder.build_serialized_network(parsed, config) is not None
