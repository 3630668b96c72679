"""Road perception: a cascaded multi-task network from labelled data to a live, timed camera loop.

Importing this imports nothing heavy; `stream` and `load` bring what they need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perception.runtime.api import load as load
    from perception.runtime.api import stream as stream
    from perception.stages.tracking.forecast import forecast as forecast

__version__ = "0.1.0"

_API = {
    "forecast": "perception.stages.tracking.forecast",
    "load": "perception.runtime.api",
    "stream": "perception.runtime.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (what the API has under this name)
    if name in _API:
        return getattr(import_module(_API[name]), name)
    raise AttributeError(f"module 'perception' has no attribute {name!r}")
