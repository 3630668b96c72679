"""Registries import an entry when it is asked for, and answer a wrong name with the right ones."""

import sys

import pytest

from perception.core.errors import ConfigError
from perception.core.registry import Registry

TABLE = {
    "timing": "perception.core.timing:LatencyReport",
    "gone": "no_such_package_of_anyone:Thing",
}


def test_an_entry_is_the_attribute_it_names():
    from perception.core.timing import LatencyReport  # noqa: PLC0415

    assert Registry("report", TABLE)["timing"] is LatencyReport


def test_making_and_listing_a_registry_imports_nothing():
    registry = Registry("report", {"this": "antigravity:fly"})
    assert list(registry) == ["this"]
    assert len(registry) == 1
    assert "antigravity" not in sys.modules


def test_asking_whether_a_name_is_known_neither_imports_nor_fails():
    registry = Registry("report", TABLE)
    assert "gone" in registry
    assert "other" not in registry


def test_a_misspelt_name_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match=r"unknown report 'timming'; did you mean 'timing'\?"):
        Registry("report", TABLE)["timming"]


def test_an_unlike_name_is_answered_with_all_known_ones():
    with pytest.raises(ConfigError, match=r"unknown report 'zzz'; known: \['gone', 'timing'\]"):
        Registry("report", TABLE)["zzz"]


def test_a_missing_optional_package_is_named_with_the_extra_that_brings_it():
    registry = Registry("backend", TABLE, extras={"gone": "openvino"})
    with pytest.raises(ConfigError, match=r"no_such_package_of_anyone.*perception\[openvino\]"):
        registry["gone"]


def test_a_missing_package_without_an_extra_stays_an_import_error():
    with pytest.raises(ModuleNotFoundError):
        Registry("backend", TABLE)["gone"]
