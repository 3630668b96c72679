"""What looks on at a run, by name. To add one: a file with a class that overrides `Observer`, and a line here."""

from perception.core.registry import Registry

# name -> callable(where: Path | str) -> Observer
OBSERVERS = Registry(
    "observer",
    {
        "metrics": "perception.runtime.observers.metrics:MetricsServer",
        "trace": "perception.runtime.observers.trace:TraceWriter",
    },
    extras={"metrics": "metrics"},
)
