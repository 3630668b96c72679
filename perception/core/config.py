"""Configuration: frozen dataclasses are the schema, TOML holds the differences, unknown keys and wrong types are errors.

Knows nothing of what is configured. Checking is pydantic's, in strict mode: ``"5"`` is no number and ``1`` no bool.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from perception.core.errors import ConfigError

T = TypeVar("T")
Table = dict[str, Any]


def read_toml(path: Path) -> Table:
    """Read a TOML file; raise `ConfigError` where it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors mark UTF-8
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
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise ConfigError(f"--set {text!r}: expected key=value, for example optimizer.lr=0.001")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        for part in reversed(parts):
            parsed = {part: parsed}
        table = merge(table, parsed)
    return table


def _strict_adapter(schema: Any) -> TypeAdapter[Any]:  # noqa: ANN401 (a dataclass type)
    # pydantic takes the configuration of a plain dataclass only from here; those nested in it inherit it
    if "__pydantic_config__" not in vars(schema):
        schema.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return TypeAdapter(schema)


def build_config(schema: type[T], table: Mapping[str, Any], origin: str) -> T:
    """Make the dataclass `schema` from a table; `origin` names the table in the message of a `ConfigError`."""
    try:
        # through JSON mode, in which a strict list may fill a tuple
        config: T = _strict_adapter(schema).validate_json(adapter_json(_complete(schema, table)))
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(schema, error.errors()[0])}") from error
    return config


def _complete(schema: Any, table: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 (a dataclass type)
    """A table whose sub-tables lie on top of their field's default, which need not be the default of the field's class."""
    if not (is_dataclass(schema) and isinstance(table, Mapping)):
        return table  # which the schema refuses, or knows better
    filled = dict(table)
    for field in fields(schema):
        below = None if field.default_factory is MISSING else field.default_factory()
        if is_dataclass(below) and isinstance(filled.get(field.name), Mapping):
            filled[field.name] = merge(dump_config(below), filled[field.name])
    return filled


def _explain(schema: Any, first: ErrorDetails) -> str:  # noqa: ANN401 (a dataclass type)
    key = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"unknown key {key!r}{_suggest(schema, first['loc'])}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key or 'the whole'}: {message}, got {first['input']!r}"


def adapter_json(value: Any) -> bytes:  # noqa: ANN401 (dataclasses, tables, tuples of them)
    """Any configuration value as JSON, dataclasses included."""
    # as JSON has no NaN, it would become null, which is a value that may be meant
    return TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants")).dump_json(value)


def dump_config(config: Any) -> Table:  # noqa: ANN401 (any config dataclass)
    """A config dataclass as plain tables and lists, as it is saved in checkpoints and manifests."""
    table: Table = TypeAdapter(type(config)).dump_python(config, mode="json")
    return table


def _suggest(schema: Any, location: tuple[int | str, ...]) -> str:  # noqa: ANN401 (a dataclass type)
    *parents, leaf = location
    for part in parents:
        if is_dataclass(schema):
            schema = get_type_hints(schema).get(str(part))
        else:  # a table or list: on to the dataclass that it holds
            schema = next((held for held in get_args(schema) if is_dataclass(held)), None)
    if not is_dataclass(schema):
        return ""
    known = [field.name for field in fields(schema)]
    near = get_close_matches(str(leaf), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {sorted(known)}"
