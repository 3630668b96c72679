"""Configuration is strict: an unknown key, a wrong type or a missing value is one clear line, never a guess."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from perception.core.config import build_config, dump_config, merge, parse_assignments, read_toml
from perception.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    learning_rate: float = 0.001
    steps: int = 10
    nesterov: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    size_wh: tuple[int, int] = (1248, 384)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    sets: tuple[str, ...] = ("camvid",)
    optimiser: Optimiser = field(default_factory=Optimiser)
    parts: Mapping[str, Part] = field(default_factory=dict)
    row: tuple[Part, ...] = ()
    threshold: float = 0.5
    slow: Optimiser = field(default_factory=lambda: Optimiser(learning_rate=1e-5, nesterov=True))

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError("expected a number in [0, 1]")


def test_an_empty_table_gives_the_defaults():
    assert build_config(Recipe, {}, "here") == Recipe()


def test_tables_and_lists_become_nested_dataclasses_and_tuples():
    table = {
        "sets": ["camvid", "kitti_road"],
        "optimiser": {"steps": 5},
        "parts": {"a": {"name": "neck", "size_wh": [64, 32]}},
        "row": [{"name": "head"}],
    }
    config = build_config(Recipe, table, "here")
    assert config.sets == ("camvid", "kitti_road")
    assert config.optimiser == Optimiser(steps=5)
    assert config.parts["a"].size_wh == (64, 32)
    assert config.row == (Part(name="head"),)


def test_a_part_of_a_table_leaves_the_default_of_its_field_and_not_that_of_its_class():
    slow = build_config(Recipe, {"slow": {"steps": 3}}, "here").slow
    assert slow == Optimiser(learning_rate=1e-5, steps=3, nesterov=True)


def test_a_whole_number_may_stand_where_a_float_is_expected():
    assert build_config(Optimiser, {"learning_rate": 1}, "here").learning_rate == 1.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param({"optimizer": {}}, r"'optimizer'; did you mean 'optimiser'\?", id="near"),
        pytest.param({"zzz": 1}, r"'zzz'; known: \['optimiser', 'parts',", id="unlike"),
        pytest.param(
            {"optimiser": {"step": 1}}, r"'optimiser\.step'; did you mean 'steps'\?", id="nested"
        ),
        pytest.param(
            {"parts": {"a": {"name": "x", "size": 1}}},
            r"'parts\.a\.size'; did you mean 'size_wh'\?",
            id="inside a table of parts",
        ),
        pytest.param(
            {"row": [{"name": "x", "nam": 1}]},
            r"'row\.0\.nam'; did you mean 'name'\?",
            id="inside a list of parts",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(table, message):
    with pytest.raises(ConfigError, match=rf"recipe\.toml: unknown key {message}"):
        build_config(Recipe, table, "recipe.toml")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        pytest.param({"optimiser": {"steps": "5"}}, "optimiser.steps", id="text for a number"),
        pytest.param({"optimiser": {"steps": 5.5}}, "optimiser.steps", id="fraction for a count"),
        pytest.param({"optimiser": {"steps": True}}, "optimiser.steps", id="bool for a count"),
        pytest.param({"optimiser": {"nesterov": 1}}, "optimiser.nesterov", id="1 for a bool"),
        pytest.param({"sets": "camvid"}, "sets", id="text for a list"),
        pytest.param({"optimiser": 3}, "optimiser", id="number for a table"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_key_and_value(table, key):
    with pytest.raises(ConfigError) as caught:
        build_config(Recipe, table, "recipe.toml")
    assert str(caught.value).startswith(f"recipe.toml: {key}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        pytest.param({}, "row.0.name", id="a key without default"),
        pytest.param({"name": "a", "size_wh": [1]}, "row.0.size_wh.1", id="half of a pair"),
    ],
)
def test_what_is_missing_is_named(part, key):
    with pytest.raises(ConfigError, match=f"here: '{re.escape(key)}' is missing"):
        build_config(Recipe, {"row": [part]}, "here")


def test_a_value_that_the_schema_itself_refuses_is_explained_in_its_words():
    with pytest.raises(ConfigError, match=r"here: .*expected a number in \[0, 1\], got"):
        build_config(Recipe, {"threshold": 2.0}, "here")


def test_what_is_no_table_is_refused():
    with pytest.raises(ConfigError, match="here: the whole: "):
        build_config(Recipe, [1, 2], "here")


def test_a_dumped_config_builds_the_same_config_again():
    config = Recipe(sets=("a", "b"), row=(Part(name="x", size_wh=(32, 64)),))
    assert build_config(Recipe, dump_config(config), "dump") == config


def test_merging_replaces_values_and_keeps_the_rest_of_a_table():
    base = {"a": {"x": 1, "y": 2}, "b": [1, 2]}
    merged = merge(base, {"a": {"y": 3}, "b": [4], "c": 5})
    assert merged == {"a": {"x": 1, "y": 3}, "b": [4], "c": 5}
    assert base == {"a": {"x": 1, "y": 2}, "b": [1, 2]}


@pytest.mark.parametrize(
    ("assignments", "table"),
    [
        pytest.param([], {}, id="none"),
        pytest.param(["a=3"], {"a": 3}, id="number"),
        pytest.param(["a=1e-3"], {"a": 0.001}, id="float with exponent"),
        pytest.param(["a=true"], {"a": True}, id="bool"),
        pytest.param(["a=cascade"], {"a": "cascade"}, id="bare word"),
        pytest.param(["a='3'"], {"a": "3"}, id="quoted number is text"),
        pytest.param(["a=[1, 2]"], {"a": [1, 2]}, id="list"),
        pytest.param(["a = x=y "], {"a": "x=y"}, id="only the first sign separates"),
        pytest.param(["a.b=1", "a.c=2"], {"a": {"b": 1, "c": 2}}, id="two keys of one table"),
        pytest.param(["a=1", "a=2"], {"a": 2}, id="the last wins"),
    ],
)
def test_assignments_are_read_as_toml_with_bare_words_as_text(assignments, table):
    assert parse_assignments(assignments) == table


@pytest.mark.parametrize("text", ["a", "=3", "", "a..b=1", ".a=1"])
def test_an_assignment_without_key_or_sign_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="expected key=value, for example"):
        parse_assignments([text])


def test_a_toml_file_is_read_as_tables(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[a]\nb = [1, 2]\n", encoding="utf-8")
    assert read_toml(path) == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"a = ", "cannot be read as TOML", id="not TOML"),
        pytest.param(b"\xff\xfe", "cannot be read as TOML", id="not text"),
    ],
)
def test_a_bad_toml_file_is_a_config_error_that_names_it(tmp_path, content, message):
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"a.toml: {message}"):
        read_toml(path)
