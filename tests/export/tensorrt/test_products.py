"""Which compiler is taken, and that every name used of it exists in the real bindings of other versions."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorrt_rtx

from perception.backends import products
from perception.backends.products import find_product, shared_log
from perception.core.errors import ConfigError
from tools.fetch_bindings import NEWEST_PYTHON, VERSIONS

BINDINGS = Path(sys.prefix) / "bindings"
ROOT = Path(__file__).parents[3]


def test_a_named_product_is_taken():
    product = find_product("tensorrt_rtx")
    assert product.trt is tensorrt_rtx
    assert product.version == tensorrt_rtx.__version__
    assert not product.needs_gpu


def test_tensorrt_is_taken_before_rtx(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.3.0"))
    assert find_product().name == "tensorrt"
    assert find_product().needs_gpu


@pytest.mark.parametrize(
    ("modules", "name", "words"),
    [
        pytest.param({"tensorrt": None}, "tensorrt", "cannot be imported: .*JetPack", id="absent"),
        pytest.param(
            {"tensorrt": None, "tensorrt_rtx": None}, "", "neither TensorRT nor", id="none"
        ),
        pytest.param(
            {"tensorrt": SimpleNamespace(__version__="8.6.1")}, "", "8.6.1 is too old", id="old"
        ),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(monkeypatch, modules, name, words):
    for module, found in modules.items():
        monkeypatch.setitem(sys.modules, module, found)
    with pytest.raises(ConfigError, match=words):
        find_product(name)


def test_the_log_is_one_for_a_process_and_keeps_what_went_wrong():
    log = shared_log(tensorrt_rtx)
    assert shared_log(tensorrt_rtx) is log
    log.lines.clear()
    log.log(tensorrt_rtx.ILogger.WARNING, "later")
    log.log(tensorrt_rtx.ILogger.ERROR, "broken")
    assert log.problems() == ["broken"]


def test_every_product_says_how_to_install_it():
    assert set(products.INSTALL) == set(products.PRODUCTS)


@pytest.mark.bindings
@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_that_is_used_is_in_the_real_bindings(version, tmp_path):
    folder = BINDINGS / version
    if sys.version_info[:2] > NEWEST_PYTHON.get(version, (99,)):
        pytest.skip(f"{version} has no wheel for this Python")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("spec.py"), tmp_path],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(folder / "lib"),
            "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT))),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {
        "version": version,
        "plans": ["plan"] * 3,
        "caches": ["", "", "cache"],
        "refused": told["refused"],
        "problems": ["broken"],
        "absent": [],
    }
    assert "compiles for the GPU of this machine alone" in told["refused"]
