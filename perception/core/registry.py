"""Tables of names: ``name -> "module:attribute"``, imported on first use. No decorators, no scanning."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from perception.core.errors import ConfigError


def hint(name: str, known: Iterable[str]) -> str:
    """``"did you mean NEAR? "`` for a name that is not known, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def check_known(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `ConfigError` at the first of the `names` of setting `key` that is not known."""
    known = tuple(known)
    for name in names:
        if name not in known:
            near = hint(name, known)
            raise ConfigError(f"{key}: unknown name {name!r}; {near}known: {sorted(known)}")


class Registry:
    """A read-only table of lazily imported attributes.

    Args:
        kind: what the entries are, for messages: ``"backend"``.
        table: ``name -> "module:attribute"``.
        extras: ``name -> extra`` of the entries that need an optional package of this project.
    """

    def __init__(
        self, kind: str, table: Mapping[str, str], extras: Mapping[str, str] | None = None
    ) -> None:
        self._kind = kind
        self._table = dict(table)
        self._extras = dict(extras or {})

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (entries are of any type)
        if name not in self._table:
            raise ConfigError(
                f"unknown {self._kind} {name!r}; {hint(name, self._table)}known: {sorted(self._table)}"
            )
        module, attribute = self._table[name].split(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if name not in self._extras:
                raise
            raise ConfigError(
                f"{self._kind} {name!r} needs the package {error.name!r}, which is not installed; "
                f"install it with: pip install 'perception[{self._extras[name]}]'"
            ) from error

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)
