"""An RTSP camera by GStreamer's own server; run by the system's Python, which has its bindings: ``python3 rtsp_server.py PORT FPS [codec]``.

Its pictures are those of `numbered`. Prints the address when it serves.
"""

import sys

import gi
import numbered

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 (versions come first)

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


class Camera(GstRtspServer.RTSPMediaFactory):
    def __init__(self, fps, codec):
        super().__init__()
        width, height = numbered.SIZE_WH
        self.set_launch(
            "( appsrc name=src is-live=true do-timestamp=true format=time "
            f"caps=video/x-raw,format=GRAY8,width={width},height={height},framerate={fps}/1 "
            f"! videoconvert ! video/x-raw,format=I420 ! {ENCODERS[codec]} )"
        )
        self.set_shared(True)
        self._fps, self._number = fps, 0

    def do_configure(self, media):
        source = media.get_element().get_child_by_name("src")

        def push():
            self._number += 1
            pushed = source.emit(
                "push-buffer", Gst.Buffer.new_wrapped(numbered.picture(self._number))
            )
            return pushed == Gst.FlowReturn.OK

        GLib.timeout_add(1000 // self._fps, push)


def main():
    port, fps = sys.argv[1], int(sys.argv[2])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_service(port)
    factory = Camera(fps, sys.argv[3] if len(sys.argv) > 3 else "h264")
    factory.connect("media-configure", lambda _factory, media: factory.do_configure(media))
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    sys.stdout.write(f"rtsp://127.0.0.1:{port}/camera\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
