"""Pages of runs."""

import pytest

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.runtime.observers import OBSERVERS
from perception.sinks.base import SinkContext

CONTEXT = SinkContext(BOX_CLASSES, MAP_CLASSES, 10.0)


@pytest.fixture
def open_page():
    pages = []

    def make(address="0"):
        pages.append(OBSERVERS["web"](address, CONTEXT))
        return pages[-1]

    yield make
    for page in pages:
        page.close()
