"""What `perception verify` looks at: an engine on a backend in a precision, or its plan with the rounding done on the CPU."""

from perception.backends import DEFAULT_BACKEND
from perception.backends.plan import plans_of
from perception.backends.sized import SizedBackends
from perception.core.geometry import choose_model_size
from perception.core.manifest import Engine
from perception.core.types import UInt8
from perception.export.variants import emulated_variant

PLANS = "tensorrt"  # the backend that runs them
EMULATED = "tensorrt, emulated"  # its typed graph, rounded as it says, on the CPU


class Runner(SizedBackends):
    """An engine as it is verified.

    Args:
        engine: checked engine folder.
        backend: name of the backend, or `EMULATED`.
        precision: of the backend, or of the plan that is emulated.
    """

    def __init__(self, engine: Engine, backend: str, precision: str) -> None:
        if backend == EMULATED:
            super().__init__(DEFAULT_BACKEND, emulated_variant(engine, precision), "fp32")
        else:
            super().__init__(backend, engine, precision)
        self._plans = plans_of(engine, precision).values() if backend == PLANS else None

    def takes(self, image: UInt8) -> bool:
        """Whether there is something to run ``uint8[H, W, 3]`` on: a plan is for some sizes of input only."""
        height, width, _ = image.shape
        size = choose_model_size((width, height), self.engine.manifest.max_pixels)
        return self._plans is None or any(plan.fits(size) for plan in self._plans)
