"""A camera as many are: JPEGs over HTTP, one after the other (multipart/x-mixed-replace), with all that can go wrong with one.

Its pictures are those of `tests.doubles.numbered`.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from tests.doubles import numbered

BOUNDARY = "frame"


def jpeg(number, size_wh):
    """A numbered picture as JPEG."""
    grey = np.frombuffer(numbered.picture(number, size_wh), np.uint8).reshape(size_wh[::-1])
    return cv2.imencode(".jpg", grey)[1].tobytes()


class MjpegServer:
    """Serves from construction to `stop`; `start` serves again at the same port.

    Attributes:
        number: of the picture that was sent last.
        frozen, size_wh: may be changed while it serves.
        damage: replaces the bytes of each JPEG, where it is set.
    """

    def __init__(self, size_wh=numbered.SIZE_WH, fps=30.0):
        self.size_wh, self.fps = size_wh, fps
        self.frozen, self.damage = False, None
        self.number, self._port = 0, 0
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self._port}/"

    def start(self):
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                self.end_headers()
                while not stopped.wait(1 / camera.fps):
                    try:
                        self.wfile.write(camera.part())
                    except OSError:
                        return

            def log_message(self, *_):
                pass

        self._stopped = stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def part(self):
        if not self.frozen:
            self.number += 1
            self._data = jpeg(self.number, self.size_wh)
        data = self._data
        if self.damage is not None:
            data = self.damage(data)
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        return head.encode() + data + b"\r\n"

    def stop(self):
        """Break every connection and refuse new ones."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        time.sleep(0.1)
