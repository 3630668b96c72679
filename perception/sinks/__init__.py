"""Where results go. `open_sinks` makes them from what the user wrote: ``jsonl=FILE``, ``overlay=FILE.mp4``, ``mcap=FILE``, ``rerun=FILE``, ``window``."""

from collections.abc import Iterable
from pathlib import Path

from perception.core.errors import ConfigError, PerceptionError
from perception.core.registry import Registry
from perception.sinks.base import Sink, SinkContext, SinkGroup

SINKS = Registry(
    "sink",
    {
        "jsonl": "perception.sinks.jsonl:JsonlSink",
        "mcap": "perception.sinks.mcap:McapSink",
        "overlay": "perception.sinks.video:OverlaySink",
        "rerun": "perception.sinks.rerun:RerunSink",
        "window": "perception.sinks.window:WindowSink",
    },
    extras={"mcap": "mcap", "rerun": "rerun"},
)
WITHOUT_PATH = ("window",)


def open_sink(spec: str, context: SinkContext) -> Sink:
    """Make one sink from ``NAME=PATH`` or ``NAME``.

    Raises:
        ConfigError: unknown sink, a missing path, a package that is not installed, or no screen for a window.
        OutputError: the file cannot be made.
    """
    name, _, path = spec.partition("=")
    build = SINKS[name]
    if not path and name not in WITHOUT_PATH:
        raise ConfigError(f"sink {spec!r}: expected {name}=PATH, for example {name}=runs/out")
    sink: Sink = build(Path(path) if path else None, context)
    return sink


def open_sinks(specs: Iterable[str], context: SinkContext) -> SinkGroup:
    """Make all sinks; where one cannot be made, close those made before."""
    opened: list[Sink] = []
    try:
        for spec in specs:
            opened.append(open_sink(spec, context))  # noqa: PERF401 (what was opened must be known on failure)
    except PerceptionError:
        SinkGroup(opened).close()
        raise
    return SinkGroup(opened)
