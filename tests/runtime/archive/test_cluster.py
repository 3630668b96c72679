"""What goes to a Ray cluster and comes back; the cluster itself is met in `make soak`."""

import sys

import pytest

from perception.core.errors import ConfigError, EngineError, OutputError
from perception.runtime.archive import POOLS
from perception.runtime.archive.recording import Outcome


@pytest.mark.parametrize("outcome", [Outcome("a.mp4", 12), Outcome("b.mp4", 0, "damaged")])
def test_an_outcome_comes_back_as_it_was(outcome):
    cluster = pytest.importorskip("perception.runtime.archive.cluster", exc_type=ImportError)
    row = cluster._call(lambda item: outcome, {"item": outcome.recording})
    assert all(isinstance(value, str | int) for value in row.values())
    assert cluster._outcome(row) == outcome


@pytest.mark.parametrize("error", [OutputError("disk full"), EngineError("other engine")])
def test_an_error_comes_back_as_it_was(error):
    cluster = pytest.importorskip("perception.runtime.archive.cluster", exc_type=ImportError)

    def fail(item):
        raise error

    with pytest.raises(type(error), match=str(error)):
        cluster._outcome(cluster._call(fail, {"item": "a.mp4"}))


def test_without_ray_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "perception.runtime.archive.cluster", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'perception\[ray\]'"):
        POOLS["ray"]
