"""What runs in a test's container in place of a service: says that it is well, or behaves as it is told.

    python3 small_service.py <name> <port> [dies | stubborn | hungry | mute]

`GET /ready` and `/health` answer like a service's; `PUT /busy/<n>` sets the work in progress that /health tells.
Standard library only: the image is a bare Python.
"""

import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, PORT, BEHAVIOUR = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
STARTED = time.monotonic()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    work = 0

    def do_GET(self) -> None:
        if self.path == "/health":
            uptime = time.monotonic() - STARTED
            checks = {"work_in_progress": Answers.work}
            self.say({"status": "ok", "version": "0", "uptime_sec": uptime, "checks": checks})
        else:
            self.say({"ready": True})

    def do_PUT(self) -> None:
        Answers.work = int(self.path.rpartition("/")[2])
        self.say({})

    def say(self, fields: dict[str, object]) -> None:
        body = json.dumps({"module": NAME, **fields}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


print(f"{NAME} lives", flush=True)
if "dies" in BEHAVIOUR:
    sys.exit("no such file: /srv/secrets/list, vx11_secretsecretsecret")
if "hungry" in BEHAVIOUR:
    eaten = [bytearray(16 << 20) for _ in range(1 << 16)]
if "stubborn" in BEHAVIOUR:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "mute" in BEHAVIOUR:
    signal.pause()
ThreadingHTTPServer(("", PORT), Answers).serve_forever()
