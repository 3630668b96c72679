"""The bench times every variant beside the plain scene and leaves the renderer as it was."""

import json
from io import StringIO

import pytest
from rich.console import Console

from perception.core.errors import ConfigError
from perception.render.picture import polygons
from perception.render.show.bench import PLAIN, bench_render, cost_tables, variants
from tests.render.factories import RENDERER


@pytest.fixture(scope="module")
def summary():
    return bench_render((96, 64), frames=2, rounds=1, renderer=RENDERER)


def test_every_variant_is_timed_beside_the_plain_scene(summary):
    assert set(summary["frame_ms"]) == set(variants((96, 64), 0))
    assert all(ms > 0 for ms in summary["frame_ms"].values())
    assert summary["write_ms"] > 0
    assert summary["max_rss_mib"] > 20
    json.dumps(summary)


def test_the_stages_make_up_the_plain_frame(summary):
    stages = summary["stages_ms"]
    assert any(name.startswith("factories.make_rendered") or name == "other" for name in stages)
    assert sum(stages.values()) == pytest.approx(summary["frame_ms"][PLAIN], rel=0.3, abs=0.5)


def test_the_detail_of_meshes_is_given_back(summary):
    assert polygons.DETAIL_PX[0] < polygons.DETAIL_PX[1] < 1000


def test_each_variant_differs_from_the_plain_scene():
    ways = variants((96, 64), 0)
    assert all(way != ways[PLAIN] for name, way in ways.items() if name != PLAIN)
    assert {way.config.camera.size_wh for way in ways.values()} == {(96, 64)}


def test_the_tables_show_all_figures(summary):
    console = Console(file=StringIO(), width=120)
    for table in cost_tables(summary):
        console.print(table)
    text = console.file.getvalue()
    assert "supersampling 2" in text
    assert "write to disk" in text


def test_nothing_to_time_is_a_usage_error():
    with pytest.raises(ConfigError, match="at least 1 frame"):
        bench_render(frames=0)
