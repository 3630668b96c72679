"""The account of a run for Prometheus, which asks for it over HTTP."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from perception.core.errors import RunError
from perception.core.timing import FrameTiming, LatencyReport
from perception.runtime.observers.address import parse_address
from perception.runtime.observers.base import Observer

# s; from a fast GPU's stage to a loop that stands still
BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.067, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # fmt: skip


class MetricsServer(Observer):
    """Serves ``/metrics``: frames, drops and a histogram of the results' age by camera, and histograms of the stages' times.

    Args:
        address: ``PORT``, which is served to this machine alone, or ``HOST:PORT``; port 0 takes a free one.

    Raises:
        ConfigError: the address is none.
        RunError: the port is taken, or the host is not of this machine.
    """

    def __init__(self, address: str) -> None:
        host, port = parse_address(address)
        registry = CollectorRegistry()
        self._frames = Counter(
            "perception_frames", "frames that were finished", ["camera"], registry=registry
        )
        self._drops = Counter(
            "perception_dropped", "frames that were dropped", ["camera"], registry=registry
        )
        self._ages = Histogram(
            "perception_age_seconds",
            "age of a result at the sinks",
            ["camera"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "perception_stage_seconds",
            "time of a stage",
            ["stage"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._dropped: dict[int, int] = {}  # by camera
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise RunError(
                f"--metrics {address}: cannot be served: {error.strerror or error}; choose another address"
            ) from error
        self.port: int = self._server.server_port

    def observe(self, timing: FrameTiming, report: LatencyReport) -> None:
        """Count one frame."""
        camera, dropped = timing.camera, report.dropped_by[timing.camera]
        self._frames.labels(camera).inc()
        self._drops.labels(camera).inc(dropped - self._dropped.get(camera, 0))
        self._dropped[camera] = dropped
        self._ages.labels(camera).observe(timing.age_ns / 1e9)
        for stage, spent_ns in timing.stages_ns.items():
            self._stages.labels(stage).observe(spent_ns / 1e9)

    def close(self) -> None:
        """Serve no more; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
