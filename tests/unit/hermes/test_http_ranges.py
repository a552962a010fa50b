"""What a server's answer to a ranged request means."""

from __future__ import annotations

import pytest

from config.errors import BadPeer, Forbidden, NotFound, Unavailable
from hermes.http_ranges import Answered, Origin, read_answer, request_headers

STRONG = Origin(etag='"a"', last_modified="Sat, 21 Nov 2026 12:00:00 GMT")


def test_only_what_can_be_recognised_again_is_continued() -> None:
    assert request_headers(10, STRONG) == {"accept-encoding": "identity", "range": "bytes=10-", "if-range": '"a"'}
    weak = Origin(etag='W/"a"', last_modified=STRONG.last_modified)
    assert request_headers(10, weak)["if-range"] == STRONG.last_modified
    assert "range" not in request_headers(10, Origin(etag='W/"a"'))
    assert "range" not in request_headers(0, STRONG)


@pytest.mark.parametrize(
    ("status", "headers", "meaning"),
    [
        (206, {"content-range": "bytes 10-99/100"}, Answered("append", 100)),
        (206, {"content-range": "bytes 10-99/*"}, Answered("append", None)),
        (206, {"content-range": "bytes 0-99/100"}, Answered("scratch", None)),
        (206, {"content-range": "bytes 10-50/100"}, Answered("scratch", None)),
        (206, {"content-range": "nonsense"}, Answered("scratch", None)),
        (206, {}, Answered("scratch", None)),
        (200, {"content-length": "100"}, Answered("restart", 100)),
        (200, {}, Answered("restart", None)),
        (200, {"content-length": "many"}, Answered("restart", None)),
        (416, {"content-range": "bytes */10"}, Answered("complete", 10)),
        (416, {"content-range": "bytes */9"}, Answered("scratch", None)),
        (416, {}, Answered("scratch", None)),
    ],
)
def test_answers(status: int, headers: dict[str, str], meaning: Answered) -> None:
    assert read_answer(status, headers, 10) == meaning


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (410, NotFound),
        (401, Forbidden),
        (403, Forbidden),
        (503, Unavailable),
        (429, Unavailable),
        (400, BadPeer),
        (302, BadPeer),
    ],
)
def test_refusals(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_answer(status, {"retry-after": "7"}, 0)


def test_a_compressed_body_cannot_be_continued() -> None:
    with pytest.raises(BadPeer, match="compresses"):
        read_answer(200, {"content-encoding": "gzip"}, 0)


def test_a_server_says_when_to_ask_again() -> None:
    with pytest.raises(Unavailable) as caught:
        read_answer(503, {"retry-after": "7"}, 0)
    assert caught.value.retry_after_sec == 7
