"""What looks on at a run, by name. To add one: a file with a class that overrides `Observer`, and a line here."""

from perception.core.registry import Registry

# name -> callable(where: Path | str) -> Observer; the page, which is a sink as well, is also told of the run: (where, SinkContext)
OBSERVERS = Registry(
    "observer",
    {
        "metrics": "perception.runtime.observers.metrics:MetricsServer",
        "trace": "perception.runtime.observers.trace:TraceWriter",
        "web": "perception.runtime.observers.web.server:WebPage",
    },
    extras={"metrics": "metrics", "web": "web"},
)
