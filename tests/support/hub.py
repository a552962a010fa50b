"""A Hub on loopback that speaks the Hugging Face Hub's public API, and its delivery host beside it.

Faithful to https://huggingface.co/docs/hub/api and to what huggingface_hub expects: commits behind revisions, listings
with LFS pointers in pages, `resolve` answering with a redirect to another host and X-Linked-… headers, gated and
absent repositories with X-Error-Code, 429 with Retry-After.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.file_server import FileServer, Served, file_server
from tests.support.gguf import sha256

Answer = tuple[int, dict[str, str], bytes]
_API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/?]+)(?:/(.*))?")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repository:
    """One repository; `listing` are further raw entries of its tree. Its files do not change: hashes are kept."""

    files: dict[str, bytes]
    gated: bool = False
    listing: list[dict[str, Any]] = field(default_factory=list)
    page: int = 1000
    lfs: bool = True
    linked: dict[str, str] = field(default_factory=dict)

    hashes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hash the files once."""
        self.hashes = {path: sha256(body) for path, body in self.files.items()}

    @property
    def commit(self) -> str:
        """What `main` stands for."""
        return hashlib.sha1(repr(sorted(self.hashes.items())).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Weather:
    """What the next requests get instead of an answer, used up one by one; `circle`: resolve leads to itself."""

    answers: list[Answer] = field(default_factory=list)
    circle: bool = False
    silent: bool = False


class FakeHub:
    """Repositories by name; `requests` are the paths asked and the token that came along."""

    def __init__(self, delivery: FileServer) -> None:
        self.delivery = delivery
        self.url = ""
        self.token = "hf_of_the_tests"
        self.repositories: dict[str, Repository] = {}
        self.weather = Weather()
        self.requests: list[tuple[str, str | None]] = []
        self._release = asyncio.Event()

    def put(self, repo: str, files: dict[str, bytes], **more: Any) -> Repository:
        """Offer a repository."""
        self.repositories[repo] = Repository(files, **more)
        return self.repositories[repo]

    def delivered(self, repo: str, path: str) -> Served:
        """The file as the delivery host has it, for looking at its requests and for changing it."""
        repository = self.repositories[repo]
        key = f"/cdn/{repository.hashes[path]}"
        return self.delivery.files.setdefault(key, Served(repository.files[path], etag='"cdn"'))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection."""
        try:
            raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = raw.strip().split("\r\n")
            headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
            path, token = first.split(" ")[1], headers.get("authorization")
            self.requests.append((path, token))
            if self.weather.silent:
                await self._release.wait()
            status, extra, body = self.weather.answers.pop(0) if self.weather.answers else self._answer(path, token)
            extra = {"Content-Length": str(len(body)), "Connection": "close", **extra}
            head = "".join(f"{key}: {value}\r\n" for key, value in extra.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    def let_go(self) -> None:
        """Answer whoever was kept waiting."""
        self._release.set()

    def _answer(self, path: str, token: str | None) -> Answer:
        split = urlsplit(path)
        if split.path == "/api/models":
            return self._search(parse_qs(split.query))
        if match := _API.fullmatch(split.path):
            repo, what, revision, folder = match.groups()
            refused = self._refused(repo, revision, token)
            return refused or self._api(repo, what, unquote(folder or ""), parse_qs(split.query))
        if match := _RESOLVE.fullmatch(split.path):
            repo, revision, file = match[1], match[2], unquote(match[3])
            return self._refused(repo, revision, token) or self._resolve(path, repo, file)
        return _json([], 404)

    def _refused(self, repo: str, revision: str, token: str | None) -> Answer | None:
        repository = self.repositories.get(repo)
        if repository is None:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"Invalid username or password."
        if repository.gated and token != f"Bearer {self.token}":
            return 401 if token is None else 403, {"X-Error-Code": "GatedRepo"}, b"Access is restricted."
        if revision not in ("main", repository.commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"Invalid rev id"
        return None

    def _api(self, repo: str, what: str, folder: str, query: dict[str, list[str]]) -> Answer:
        repository = self.repositories[repo]
        if what == "revision":
            return _json({"id": repo, "sha": repository.commit, "gated": "auto" if repository.gated else False})
        entries = [_entry(repository, path) for path in repository.files] + repository.listing
        if "recursive" not in query:
            entries = [one for one in entries if str(one["path"]).rpartition("/")[0] == folder]
        start = int(query.get("cursor", ["0"])[0])
        page = entries[start : start + repository.page]
        more = start + repository.page < len(entries)
        following = f"{self.url}/api/models/{repo}/tree/{repository.commit}?recursive=true&cursor={start + len(page)}"
        return _json(page, 200, {"Link": f'<{following}>; rel="next"'} if more else {})

    def _resolve(self, path: str, repo: str, file: str) -> Answer:
        if self.weather.circle:
            return 302, {"Location": self.url + path}, b""
        if file not in self.repositories[repo].files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found"
        served = self.delivered(repo, file)
        repository = self.repositories[repo]
        linked = {"X-Linked-Size": str(len(served.body)), "X-Linked-Etag": f'"{repository.hashes[file]}"'}
        location = f"{self.delivery.url}/cdn/{repository.hashes[file]}?signature=secret"
        return 302, {"Location": location, **linked, **repository.linked}, b""

    def _search(self, query: dict[str, list[str]]) -> Answer:
        words = query["search"][0].lower()
        found = [name for name in self.repositories if words in name.lower()][: int(query["limit"][0])]
        return _json([{"id": name, "downloads": 7, "gated": False, "tags": ["gguf", "license:mit"]} for name in found])


def _entry(repository: Repository, path: str) -> dict[str, Any]:
    body = repository.files[path]
    lfs = {"oid": repository.hashes[path], "size": len(body), "pointerSize": 133}
    return {
        "type": "file",
        "oid": "0" * 40,
        "size": len(body),
        "path": path,
        **({"lfs": lfs} if repository.lfs else {}),
    }


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode()


@asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    """A running Hub and its delivery host, on two loopback ports."""
    async with file_server() as delivery:
        hub = FakeHub(delivery)
        listening = await asyncio.start_server(hub.handle, "127.0.0.1", 0)
        hub.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield hub
        finally:
            hub.let_go()
            listening.close()
