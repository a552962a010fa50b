"""Continuing a download over HTTP: what to ask for, and what the answer means (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.errors import BadPeer, Forbidden, NotFound, Unavailable, VX11Error

_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<total>\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(?P<total>\d+)")
_UNKNOWN = {  # the Hub's own words; it answers 401 for a repository that is not there
    "RepoNotFound": "repository",
    "RevisionNotFound": "revision",
    "EntryNotFound": "file",
}
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Origin:
    """What the server said of the file when its first byte came: how to tell that it is still the same file."""

    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What If-Range may carry: a strong ETag, else the date; None if continuing would be a gamble."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def is_other_than(self, seen: Origin) -> bool:
        """Whether this is certainly another file than `seen`; what one side does not say decides nothing."""
        pairs = [(self.total, seen.total), (_opaque(self.etag), _opaque(seen.etag))]
        if None in pairs[1]:
            pairs.append((self.last_modified, seen.last_modified))
        return any(ours != theirs for ours, theirs in pairs if ours is not None and theirs is not None)

    @classmethod
    def of(cls, headers: Mapping[str, str], total: int | None) -> Origin:
        """The origin that an answer's headers describe."""
        return cls(headers.get("etag"), headers.get("last-modified"), total)


@dataclass(frozen=True, slots=True)
class Answered:
    """What to do with an answer: `append` its body, `restart` with it, ask again from `scratch`, or be `complete`."""

    act: Literal["append", "restart", "scratch", "complete"]
    total: int | None


def request_headers(have: int, origin: Origin) -> dict[str, str]:
    """Headers that ask for the rest after `have` bytes, or for all where continuing is not safe."""
    headers = {"accept-encoding": "identity"}
    if have and origin.validator:
        headers |= {"range": f"bytes={have}-", "if-range": origin.validator}
    return headers


def piece_headers(first: int, until: int) -> dict[str, str]:
    """Headers that ask for the bytes from `first` up to, not with, `until`."""
    return {"accept-encoding": "identity", "range": f"bytes={first}-{until - 1}"}


def read_piece(status: int, headers: Mapping[str, str], first: int) -> tuple[int, Origin]:
    """Where the bytes of an answer to `piece_headers` begin, and what it says of the file; raises as `read_answer`."""
    if status in (200, 206) and headers.get("content-encoding", "identity") != "identity":
        raise BadPeer("The server compresses the file although it was asked not to.")
    if status == 200:
        length = headers.get("content-length", "")
        return 0, Origin.of(headers, int(length) if length.isdigit() else None)
    if status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if match is None or int(match["first"]) != first:
            raise BadPeer("The server sent another part of the file than it was asked for.")
        return first, Origin.of(headers, None if match["total"] == "*" else int(match["total"]))
    if status == 416:
        unsatisfied = _UNSATISFIED.fullmatch(headers.get("content-range", ""))
        return first, Origin.of(headers, int(unsatisfied["total"]) if unsatisfied else first)
    raise refusal(status, headers)


def read_answer(status: int, headers: Mapping[str, str], have: int) -> Answered:
    """What an answer to `request_headers` means when `have` bytes are here; raises for one that is no file.

    Unavailable means that asking again may help; anything else that is raised is final.
    """
    if status in (200, 206) and headers.get("content-encoding", "identity") != "identity":
        raise BadPeer("The server compresses the file although it was asked not to; its bytes cannot be continued.")
    if status == 206:
        return _partial(headers, have)
    if status == 200:
        length = headers.get("content-length", "")
        return Answered("restart", int(length) if length.isdigit() else None)
    if status == 416:
        return _unsatisfied(headers, have)
    raise refusal(status, headers)


def _partial(headers: Mapping[str, str], have: int) -> Answered:
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if match is None or int(match["first"]) != have:
        return Answered("scratch", None)
    total = None if match["total"] == "*" else int(match["total"])
    if total is not None and int(match["last"]) != total - 1:
        return Answered("scratch", None)
    return Answered("append", total)


def _unsatisfied(headers: Mapping[str, str], have: int) -> Answered:
    match = _UNSATISFIED.fullmatch(headers.get("content-range", ""))
    if match and int(match["total"]) == have:
        return Answered("complete", have)
    return Answered("scratch", None)


def _opaque(etag: str | None) -> str | None:
    """An entity tag without its mark of weakness (RFC 9110, 8.8.3.2: weak comparison)."""
    return None if etag is None else etag.removeprefix("W/")


def refusal(status: int, headers: Mapping[str, str]) -> VX11Error:
    """The error that a status without a file stands for."""
    if status in _TRANSIENT:
        wait = headers.get("retry-after", "")
        return Unavailable(
            f"The server answered {status} instead of the file.", retry_after_sec=int(wait) if wait.isdigit() else None
        )
    unknown = _UNKNOWN.get(headers.get("x-error-code", ""))
    if unknown:
        return NotFound(f"The Hub knows no such {unknown}.", hint="Check the name; a private one needs a token.")
    if status in (404, 410):
        return NotFound(f"The server has no such file (it answered {status}).", hint="Check the address of the source.")
    if status in (401, 403):
        return Forbidden(
            f"The server does not give this file to us (it answered {status}).",
            hint="Some models want their licence accepted first: accept it on the model's page and set "
            "VX11_HERMES_HF_TOKEN, or download it by hand and pull file:/its/path.",
        )
    return BadPeer(f"The server answered {status} instead of the file.")
