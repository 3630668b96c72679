"""The loop over a folder of recordings: each done exactly once, however often the command is killed."""

from perception.core.registry import Registry

# name -> callable(function, items, workers, ...) -> Generator of outcomes
POOLS = Registry(
    "worker pool",
    {
        "processes": "perception.runtime.archive.pool:map_in_processes",
        "ray": "perception.runtime.archive.cluster:map_with_ray",
    },
    extras={"ray": "ray"},
)
