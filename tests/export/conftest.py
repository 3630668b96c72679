import warnings

import pytest
import torch

from perception.core.config import dump_config
from perception.export.onnx import ExportOptions, export_checkpoint
from perception.models.multitask import MultiTaskModel
from perception.training.config import load_train_config

SMALL = [
    'model={backbone="resnet18", pretrained=false, neck_channels=8}',
    "graph.mask_threshold=0.02",
]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A checkpoint of a small random network, with some denormal weights."""
    torch.manual_seed(0)
    config = load_train_config("cascade", SMALL)
    weights = MultiTaskModel(config.model).state_dict()
    weights["neck.lateral.0.1.bias"][:] = 1e-41
    weights["neck.smooth.0.0.weight"][0] = 1e-41
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    state = {f"model.{name}": tensor for name, tensor in weights.items()}
    torch.save({"hyper_parameters": dump_config(config), "state_dict": state}, path)
    return path


@pytest.fixture(scope="session")
def engine(checkpoint, tmp_path_factory):
    """The engine of `checkpoint`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return export_checkpoint(
            checkpoint, tmp_path_factory.mktemp("engines") / "small", ExportOptions()
        )


@pytest.fixture
def here(tmp_path_factory, monkeypatch):
    """A folder to work in, the same for all tests: what is made once and kept lands there, and making a variant takes long."""
    folder = tmp_path_factory.getbasetemp() / "here"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
