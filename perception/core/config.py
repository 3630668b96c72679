"""Configuration: frozen dataclasses are the schema, TOML holds the differences, unknown keys and wrong types are errors.

Knows nothing of what is configured. Checking is pydantic's, in strict mode: ``"5"`` is no number and ``1`` no bool.
"""

import tomllib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from perception.core.errors import ConfigError

T = TypeVar("T")
Table = dict[str, Any]


def read_toml(path: Path) -> Table:
    """Read a TOML file; raise `ConfigError` where it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """A new table: `over` on top of `base`, sub-tables merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if nested else value  # type: ignore[arg-type]  # checked in `nested`
    return merged


def parse_assignments(assignments: Iterable[str]) -> Table:
    """``["a.b=3", "c=x"]`` -> ``{"a": {"b": 3}, "c": "x"}``; values are TOML, bare words are strings."""
    table: Table = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r}: expected key=value, for example optimizer.lr=0.001")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        for part in reversed(key.strip().split(".")):
            parsed = {part: parsed}
        table = merge(table, parsed)
    return table


@cache
def _adapter(schema: Hashable) -> TypeAdapter[Any]:
    _forbid_extras(schema)
    return TypeAdapter(schema)


def _forbid_extras(schema: Any) -> None:  # noqa: ANN401 (any type can stand in an annotation)
    for nested in getattr(schema, "__args__", ()):
        _forbid_extras(nested)
    if is_dataclass(schema) and "__pydantic_config__" not in vars(schema):
        schema.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[union-attr]  # a class
        for hint in get_type_hints(schema).values():
            _forbid_extras(hint)


def build_config(schema: type[T], table: Mapping[str, Any], origin: str) -> T:
    """Make the dataclass `schema` from a table; `origin` names the table in the message of a `ConfigError`."""
    adapter = _adapter(schema)
    try:
        # through JSON mode, in which a strict list may fill a tuple
        config: T = adapter.validate_json(adapter_json(table))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
            raise ConfigError(f"{origin}: unknown key {key!r}{_suggest(schema, key)}") from error
        raise ConfigError(f"{origin}: {key}: {first['msg']}, got {first['input']!r}") from error
    return config


def adapter_json(value: Any) -> bytes:  # noqa: ANN401 (dataclasses, tables, tuples of them)
    """Any configuration value as JSON, dataclasses included."""
    return TypeAdapter(Any).dump_json(value)


def dump_config(config: Any) -> Table:  # noqa: ANN401 (any config dataclass)
    """A config dataclass as plain tables and lists, as it is saved in checkpoints and manifests."""
    table: Table = TypeAdapter(type(config)).dump_python(config, mode="json")
    return table


def _suggest(schema: Any, key: str) -> str:  # noqa: ANN401 (a dataclass type)
    *parents, leaf = key.split(".")
    for part in parents:
        schema = get_type_hints(schema).get(part)
        if schema is None:
            return ""
    known = list(get_type_hints(schema))
    near = get_close_matches(leaf, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {sorted(known)}"
