"""A worker process that keeps the protocol of `switch/worker/spec.py` and misbehaves by plan.

    python -I tests/support/scripted_worker.py FOLDER

`FOLDER/MODEL.json` holds a list of plans, one for each start of that model; the last one stays. What happens is
written to `FOLDER/MODEL.log`, one JSON object a line. It waits for files (`until`) instead of sleeping, so a test
decides when things happen. Standard library only: it is started for nearly every test.

A plan's members, all optional:
    load    "ready"; "failed" with `detail`; "crash"; "never"; "garbage": other things on stdout, then ready;
            "mute": not one line; "bus": dies of SIGBUS
    until   a file of FOLDER that must be there before the load goes on
    stays   true: does not leave when stdin closes
    dies    "before" the head of an answer, "after" the head, or after the first "event"
    holds   a file of FOLDER that must be there before an answer goes on after its first event
    refuses a status to answer every request with
    health  "stuck": the step counter stands still; "mute": no answer to /health; else it moves with each look
    leaks   MiB to take when the first request comes
    tokens  `predicted_n` of an answer, `seconds` what its timings say it took
    says    the text of a streamed answer, instead of numbers
"""

from __future__ import annotations

import json
import os
import select
import signal
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

LOOK_EVERY_SEC = 0.005
EVENTS = 3


class Script:
    """The plan of this start, and the log of what happens."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self.folder = folder
        self.spec = spec
        self._log = folder / f"{spec['model_name']}.log"
        file = folder / f"{spec['model_name']}.json"
        plans = json.loads(file.read_text()) if file.exists() else [{}]
        before = self._log.read_text().count('"event": "start"') if self._log.exists() else 0
        self.plan: dict[str, Any] = plans[min(before, len(plans) - 1)]
        self.note("start", pid=os.getpid(), spec=spec)

    def note(self, event: str, **more: object) -> None:
        """Write to the log; one write is one line, whichever thread it comes from."""
        with open(self._log, "ab", buffering=0) as log:
            log.write(json.dumps({"event": event, **more}).encode() + b"\n")

    def may_go_on(self, name: str) -> bool:
        """Whether the test has put the file there that the plan waits for."""
        file = self.plan.get(name)
        return file is None or (self.folder / file).exists()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """HTTP over the worker's socket."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, script: Script) -> None:
        self.script = script
        self.in_flight = 0
        self.looks = 0
        self.leaked = b""
        super().__init__(script.spec["socket_path"], Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers as the plan says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """`/health`, as far as Switch looks at it."""
        plan = self.server.script.plan
        while plan.get("health") == "mute":
            time.sleep(LOOK_EVERY_SEC)
        self.server.looks += 1
        self.server.script.note("look")
        steps = 7 if plan.get("health") == "stuck" else self.server.looks
        body = json.dumps({"in_flight": self.server.in_flight, "steps": steps}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """One completion, streamed or whole."""
        self.server.in_flight += 1
        try:
            self._answer()
        finally:
            self.server.in_flight -= 1

    def _answer(self) -> None:
        script = self.server.script
        if leaks := script.plan.get("leaks"):
            self.server.leaked = os.urandom(1 << 20) * leaks
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        script.note("request", path=self.path, request=request, correlation=self.headers["x-correlation-id"])
        if script.plan.get("dies") == "before":
            _die()
        if status := script.plan.get("refuses"):
            self._whole(status, "application/problem+json", b'{"code": "bad_request"}')
        elif request.get("stream"):
            self._stream(script)
        else:
            body = {"choices": [{"finish_reason": "stop"}], "timings": done(script)}
            self._whole(200, "application/json", json.dumps(body).encode())

    def _whole(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-internal", "for the parent only")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.flush()
        if self.server.script.plan.get("dies") == "after":
            _die()
        self.wfile.write(body)

    def _stream(self, script: Script) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for text in script.plan.get("says") or map(str, range(EVENTS)):
            self._event({"choices": [{"delta": {"content": text}, "finish_reason": None}]})
            if script.plan.get("dies") == "event":
                _die()
            if not self._held(script):
                script.note("gone")
                self.close_connection = True
                return
        self._event({"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": done(script)})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")
        script.note("answered")

    def _held(self, script: Script) -> bool:
        """Wait for the plan's file; False when the client goes before it is there."""
        while not script.may_go_on("holds"):
            if select.select([self.connection], [], [], LOOK_EVERY_SEC)[0]:
                return False  # nothing is sent twice on a connection: it can only be its end
        return True

    def _event(self, body: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def done(script: Script) -> dict[str, Any]:
    """The timings of an answer."""
    milliseconds = 1000 * script.plan.get("seconds", 0.001)
    tokens = script.plan.get("tokens", EVENTS)
    return {"prompt_n": 7, "prompt_ms": 0.1, "predicted_n": tokens, "predicted_ms": milliseconds}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def _leave_when_stdin_closes(script: Script) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    script.note("asked to leave")
    if not script.plan.get("stays"):
        os._exit(0)


def main() -> None:
    """Live by the plan."""
    spec = json.loads(sys.stdin.buffer.readline())
    script = Script(Path(sys.argv[1]), spec)
    threading.Thread(target=_leave_when_stdin_closes, args=(script,), daemon=True).start()
    load = script.plan.get("load", "ready")
    if load == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if load == "bus":
        os.kill(os.getpid(), signal.SIGBUS)
    if load == "failed":
        _tell(event="failed", code="load_failed", detail=script.plan["detail"])
        sys.exit(1)
    if load == "garbage":
        print("ggml: hello\n[1, 2]\n{}\n" + '{"event": "loading"}\n' + "x" * 300_000, flush=True)
    if load != "mute":
        _tell(event="loading", progress=0.5)
    while load in ("never", "mute") or not script.may_go_on("until"):
        time.sleep(LOOK_EVERY_SEC)
    with Server(script) as server:
        _tell(event="ready", prefix_reuse="shared")
        server.serve_forever()


if __name__ == "__main__":
    main()
