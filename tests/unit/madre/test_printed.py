"""What of a log may be shown to whoever asked for the service."""

from __future__ import annotations

from madre.adapters.printed import readable

TRACEBACK = """Traceback (most recent call last):
  File "/srv/vx11/config/forkserver/child.py", line 50, in _live
    status = body(service, link)
ModuleNotFoundError: No module named 'nowhere'"""


def test_a_traceback_comes_down_to_its_reason() -> None:
    assert readable(TRACEBACK.splitlines()) == ["ModuleNotFoundError: No module named 'nowhere'"]


def test_a_log_record_comes_down_to_level_message_and_reason() -> None:
    record = '{"level": "ERROR", "message": "cannot start", "exc_info": "Traceback\\n  File\\nOSError: disk"}'
    assert readable([record, '{"level": "INFO", "message": "plain"}']) == [
        "error: cannot start (OSError: disk)",
        "info: plain",
    ]


def test_paths_of_the_host_shrink_to_their_last_part() -> None:
    line = "FileNotFoundError: '/home/ana/vx11/models/tiny.gguf' (see http://127.0.0.1:8002/docs)"
    assert "/home" not in readable([line])[0]
    assert "'tiny.gguf'" in readable([line])[0]


def test_what_is_no_record_stays() -> None:
    assert readable(["", "[1, 2]", "{}", "killed"]) == ["[1, 2]", "{}", "killed"]
