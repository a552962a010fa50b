"""What a server's answer to a ranged request means."""

from __future__ import annotations

import pytest

from config.errors import BadPeer, Forbidden, NotFound, Unavailable
from hermes.http_ranges import Answered, Origin, read_answer, read_piece, refusal, request_headers

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


@pytest.mark.parametrize(
    ("status", "headers", "first", "total"),
    [
        (206, {"content-range": "bytes 10-19/100"}, 10, 100),
        (206, {"content-range": "bytes 10-19/*"}, 10, None),
        (200, {"content-length": "100"}, 0, 100),
        (200, {}, 0, None),
        (416, {"content-range": "bytes */8"}, 10, 8),
    ],
)
def test_where_a_piece_begins(status: int, headers: dict[str, str], first: int, total: int | None) -> None:
    begins, origin = read_piece(status, headers, 10)
    assert (begins, origin.total) == (first, total)


@pytest.mark.parametrize("headers", [{}, {"content-range": "bytes 0-9/100"}, {"content-range": "x"}])
def test_another_piece_than_asked_for_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadPeer):
        read_piece(206, headers, 10)


def test_what_certainly_is_another_file() -> None:
    assert Origin('"a"', None, 5).is_other_than(Origin('"b"', None, 5))
    assert Origin('"a"', None, 5).is_other_than(Origin('"a"', None, 6))
    assert not Origin('W/"a"', "x", 5).is_other_than(Origin('"a"', "y", None))
    assert Origin(None, "x", None).is_other_than(Origin('"a"', "y", None))
    assert not Origin().is_other_than(STRONG)


def test_the_hub_says_401_for_what_is_not_there() -> None:
    assert isinstance(refusal(401, {"x-error-code": "RepoNotFound"}), NotFound)
    assert isinstance(refusal(401, {"x-error-code": "GatedRepo"}), Forbidden)
