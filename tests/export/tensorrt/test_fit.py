"""The fit of a whole frame inside a graph, run by ONNX Runtime, against the host's."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from perception.core.geometry import fit_letterbox
from perception.export.tensorrt.fit import FITTED, add_fit, fit_alone
from perception.stages.preprocess import fit_image

FRAME_SIZES = st.tuples(st.integers(200, 1300), st.integers(150, 1000))
MODEL_SIZES = st.tuples(st.integers(5, 19), st.integers(5, 19)).map(
    lambda n: (32 * n[0], 32 * n[1])
)
SHAPE = ["batch", "height", "width", 3]


def make_graph_of_one_cast():
    graph = make_graph(
        [make_node("Cast", ["frame"], ["values"], to=TensorProto.FLOAT)],
        "cast",
        [make_tensor_value_info("frame", TensorProto.UINT8, SHAPE)],
        [make_tensor_value_info("values", TensorProto.FLOAT, SHAPE)],
    )
    return make_model(graph, opset_imports=[make_opsetid("", 18)], ir_version=10)


def run(model, frame):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (output,) = session.get_outputs()
    return output.name, session.run([output.name], {"frame": frame[None]})[0][0]


def make_noise(size_wh):
    """The hardest picture to agree on: no two pixels beside each other are alike."""
    return np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)


def differences(frame_wh, model_wh):
    frame, box = make_noise(frame_wh), fit_letterbox(frame_wh, model_wh)
    _, got = run(add_fit(make_graph_of_one_cast(), box), frame)
    want = fit_image(frame, box)
    assert (got.dtype, got.shape) == (np.float32, want.shape)
    width, height = box.content_wh
    np.testing.assert_array_equal(got[height:], want[height:])  # the padding
    np.testing.assert_array_equal(got[:, width:], want[:, width:])
    return np.abs(got - want)[:height, :width]


@given(frame_wh=FRAME_SIZES, model_wh=MODEL_SIZES)
def test_any_frame_is_fitted_as_on_the_host(frame_wh, model_wh):
    off = differences(frame_wh, model_wh)
    assert off.max() <= 3  # grey levels
    assert (off > 1).mean() <= 3e-3
    assert (off == 0).mean() >= 0.8


@pytest.mark.parametrize(
    ("frame_wh", "model_wh", "equal"),
    [
        pytest.param((96, 64), (96, 64), 1, id="as it is"),
        pytest.param((93, 47), (96, 64), 1, id="smaller: padded alone"),
        pytest.param((1, 1), (96, 64), 1, id="one pixel"),
        pytest.param((192, 128), (96, 64), 1, id="halved"),
        pytest.param((384, 256), (96, 64), 1, id="halved twice"),
        pytest.param((382, 180), (96, 64), 0.85, id="halved to a size that pads"),
        pytest.param((641, 479), (320, 256), 0.85, id="odd"),
        pytest.param((375, 1242), (128, 384), 0.85, id="portrait"),
        pytest.param((1919, 1079), (96, 64), 0.80, id="twenty times"),
        pytest.param((1920, 1080), (928, 544), 0.92, id="Full HD"),
    ],
)
def test_most_pixels_are_equal_to_the_host_s(frame_wh, model_wh, equal):
    off = differences(frame_wh, model_wh)
    assert (off == 0).mean() >= equal
    assert (off > 1).mean() < 5e-4


def test_the_fit_can_be_run_alone_and_the_graph_it_was_put_before_is_not_changed():
    model = make_graph_of_one_cast()
    before = model.SerializeToString()
    whole = add_fit(model, fit_letterbox((130, 70), (64, 32)))
    assert model.SerializeToString() == before
    name, alone = run(fit_alone(whole), make_noise((130, 70)))
    assert name == FITTED
    np.testing.assert_array_equal(alone, run(whole, make_noise((130, 70)))[1])
