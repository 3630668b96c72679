"""Frames of a GStreamer pipeline, through an OpenCV that is built with it: cameras of a Jetson's CSI port, and whatever else GStreamer reads."""

import cv2

from perception.core.errors import ConfigError
from perception.sources.camera import CameraSource

SCHEME = "gst:"
SINK = "appsink"


class GStreamerSource(CameraSource):
    """The pictures at the end of a pipeline. A frame counts as captured when the pipeline hands it over.

    Args:
        spec: ``gst:PIPELINE`` as ``gst-launch-1.0`` takes it; where it lacks an ``appsink``, one that keeps the newest BGR picture alone is added.

    Raises:
        ConfigError: OpenCV is built without GStreamer, as the packages of PyPI are.
        InputError: the pipeline does not start or delivers nothing.
    """

    scheme = SCHEME

    def _open(self, place: str) -> cv2.VideoCapture:
        if not has_gstreamer():
            raise ConfigError(
                f"{self.name}: this OpenCV ({cv2.__version__}) is built without GStreamer; use the system's "
                "(on Jetson and Debian: python3-opencv, in an environment made with --system-site-packages)"
            )
        return cv2.VideoCapture(full_pipeline(place), cv2.CAP_GSTREAMER)


def has_gstreamer() -> bool:
    """Whether OpenCV was built with GStreamer."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


def full_pipeline(pipeline: str) -> str:
    """The pipeline with a sink that OpenCV can read, without queue of its own."""
    if SINK in pipeline:
        return pipeline
    return f"{pipeline} ! videoconvert ! video/x-raw,format=BGR ! {SINK} drop=true max-buffers=1 sync=false"
