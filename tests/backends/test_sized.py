"""One engine for frames of every size."""

import numpy as np
import pytest

from perception.backends import sized
from perception.backends.sized import SizedBackends
from perception.core.errors import ConfigError


@pytest.fixture
def openings(monkeypatch):
    """The sizes that were opened, in order."""
    sizes = []
    whole = sized.open_backend

    def counted(name, engine, size_wh, **options):
        sizes.append(size_wh)
        return whole(name, engine, size_wh, **options)

    monkeypatch.setattr(sized, "open_backend", counted)
    return sizes


def feed(width, height):
    return np.zeros((1, height, width, 3), np.uint8)


def test_a_backend_is_opened_once_for_each_size_and_again_after_closing(tiny_engine, openings):
    with SizedBackends("onnxruntime", tiny_engine, "fp32", threads=1) as backends:
        assert backends.devices() == []
        for size_wh in ((64, 32), (96, 64), (64, 32)):
            outputs = backends.infer(feed(*size_wh))
            assert outputs["class_map"].shape == (1, size_wh[1], size_wh[0])
        assert openings == [(64, 32), (96, 64)]
        assert len(backends.devices()) == 1
    assert backends.devices() == []
    with backends:
        backends.infer(feed(64, 32))
    assert openings == [(64, 32), (96, 64), (64, 32)]


def test_what_a_backend_does_not_have_is_refused(tiny_engine):
    with pytest.raises(ConfigError, match="expected a precision of"):
        SizedBackends("onnxruntime", tiny_engine, "fp16").infer(feed(64, 32))
