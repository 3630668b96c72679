"""Build over the classes of real bindings, in a process of its own: ``spec.py FOLDER``. A name that they lack raises AttributeError.

The classes and enums are TensorRT's own, their objects stand-ins that have no other attributes than theirs.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import tensorrt_bindings as trt

from perception.backends.products import Product, shared_log
from perception.core.errors import ConfigError
from perception.export.tensorrt.compile import compile_network, parse
from perception.export.tensorrt.options import BuildOptions
from tests.backends.device import fake_tensorrt

SHAPE = (1, 96, 160, 3)


def double(cls):
    return mock.create_autospec(cls, instance=True, spec_set=True)


def build(options, shapes=(SHAPE, SHAPE)):
    """Run the whole build; plan and timing cache are what the stand-ins give."""
    builder, parser = double(trt.Builder), double(trt.OnnxParser)
    config = double(trt.IBuilderConfig)
    parser.parse.return_value = True
    builder.create_network.return_value = double(trt.INetworkDefinition)
    builder.create_builder_config.return_value = config
    builder.create_optimization_profile.return_value = double(trt.IOptimizationProfile)
    builder.build_serialized_network.return_value = b"plan"
    config.create_timing_cache.return_value.serialize.return_value = b"cache"
    product = Product("tensorrt", trt)
    with (
        mock.patch.object(trt, "Builder", return_value=builder),
        mock.patch.object(trt, "OnnxParser", return_value=parser),
    ):
        compiled = compile_network(product, parse(product, b"onnx"), options, shapes)
    strong = int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    builder.create_network.assert_called_once_with(1 << strong)
    return compiled


def absent_names():
    """What the runner's stand-in for TensorRT has and the real classes lack: the runner can use nothing else than its names."""
    fake = vars(fake_tensorrt.make_module(double=None))
    classes = {name: found for name, found in fake.items() if isinstance(found, type)}
    absent = []
    for name, found in classes.items():
        names = {n for n in vars(found) if not n.startswith("_")}
        absent += sorted(f"{name}.{n}" for n in names - set(dir(getattr(trt, name, None))))
    return absent


def main(folder):
    """Build with every option, and tell what the bindings refused."""
    cache = folder / "timing.cache"
    everything = BuildOptions(
        hardware_compatibility="ampere_plus",
        version_compatible=True,
        strip=True,
        refit=True,
        workspace_mib=256,
        level=3,
        timing_cache=cache,
    )
    built = [
        build(BuildOptions()),
        build(BuildOptions(precision="fp32")),
        build(everything, (SHAPE, (2, 128, 192, 3))),
    ]
    refused = ""
    try:
        build(BuildOptions(capabilities=("8.6",)))
    except ConfigError as error:
        refused = str(error)
    log = shared_log(trt)
    log.log(trt.ILogger.ERROR, "broken")
    told = {
        "version": trt.__version__,
        "plans": [compiled.plan.decode() for compiled in built],
        "caches": [compiled.timing_cache.decode() for compiled in built],
        "refused": refused,
        "problems": log.problems(),
        "absent": absent_names(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
