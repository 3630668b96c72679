"""What goes to a Ray cluster and comes back; the cluster itself is met in `make soak`."""

import sys

import pytest

from perception.core.errors import ConfigError, EngineError, OutputError
from perception.runtime.archive.cluster import _call, _outcome, map_with_ray
from perception.runtime.archive.recording import Outcome


@pytest.mark.parametrize("outcome", [Outcome("a.mp4", 12), Outcome("b.mp4", 0, "damaged")])
def test_an_outcome_comes_back_as_it_was(outcome):
    row = _call(lambda item: outcome, {"item": outcome.recording})
    assert all(isinstance(value, str | int) for value in row.values())
    assert _outcome(row) == outcome


@pytest.mark.parametrize("error", [OutputError("disk full"), EngineError("other engine")])
def test_an_error_comes_back_as_it_was(error):
    def fail(item):
        raise error

    with pytest.raises(type(error), match=str(error)):
        _outcome(_call(fail, {"item": "a.mp4"}))


def test_without_ray_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'perception\[ray\]'"):
        next(map_with_ray(str, ["a.mp4"], 1, "local"))
