"""The Hugging Face Hub as hermes asks it: which addresses, what their answers mean, who is told the token.

Protocol: the Hub's public HTTP API, https://huggingface.co/docs/hub/api, and what its own client does
(huggingface_hub, file_download.py and hf_api.py):

    GET /api/models/REPO/revision/REV            {"sha": commit, "gated": …}
    GET /api/models/REPO/tree/COMMIT[/FOLDER]    [{"type", "path", "size", "lfs": {"oid", "size"}}], paged by `Link`
    GET /REPO/resolve/COMMIT/PATH                the bytes, mostly by a redirect to another host
    GET /api/models?search=…&filter=gguf         repositories

`lfs.oid` is the SHA-256 of the file. Names in a listing come from strangers and are checked before anyone sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from config.errors import BadPeer, Invalid, NotFound
from hermes.sources import HubSource, is_plain_path

MAX_PAGES: Final = 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}$")
_QUANTISATION: Final = re.compile(r"(?i)(?<![A-Za-z0-9])((?:UD-)?(?:I?Q[1-8]_[A-Z0-9_]+|TQ[12]_0|BF16|F16|F32|MXFP4))$")
_NEXT: Final = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class HubFile:
    """A GGUF file of a listing; `sha256` None where the Hub does not store it by LFS."""

    path: str
    size: int
    sha256: str | None

    @property
    def quantisation(self) -> str | None:
        """What its name says of how it is stored, as Q4_K_M; None if it says nothing."""
        match = _QUANTISATION.search(_SHARD.sub("", PurePosixPath(self.path).stem))
        return match[1].upper() if match else None

    @property
    def is_shard(self) -> bool:
        """Whether it is one piece of several."""
        return _SHARD.search(PurePosixPath(self.path).stem) is not None


@dataclass(frozen=True, slots=True)
class Hub:
    """The Hub at `endpoint`, asked as who holds `token`."""

    endpoint: str
    token: str | None = None

    def headers_for(self, url: str) -> dict[str, str]:
        """What `url` is told beside the request: the token, if it lies on the Hub's own host, else nothing."""
        if self.token is None or _origin(url) != _origin(self.endpoint):
            return {}
        return {"authorization": f"Bearer {self.token}"}

    def revision_url(self, source: HubSource) -> str:
        """Where the commit behind a source's revision is told."""
        return f"{self._api(source.repo)}/revision/{quote(source.revision or 'main', safe='')}"

    def tree_url(self, source: HubSource, commit: str) -> str:
        """Where the files are listed among which the source's is: its folder, or all."""
        if source.path is None:
            return f"{self._api(source.repo)}/tree/{commit}?recursive=true"
        folder = PurePosixPath(source.path).parent.as_posix()
        return f"{self._api(source.repo)}/tree/{commit}" + ("" if folder == "." else f"/{quote(folder)}")

    def file_url(self, source: HubSource, commit: str, path: str) -> str:
        """Where the bytes are."""
        return f"{self.endpoint.rstrip('/')}/{source.repo}/resolve/{commit}/{quote(path)}"

    def search_url(self, words: str, limit: int) -> str:
        """Where repositories with GGUF files are searched, most downloaded first."""
        asked = {"search": words, "filter": "gguf", "sort": "downloads", "direction": "-1", "limit": str(limit)}
        return f"{self.endpoint.rstrip('/')}/api/models?{urlencode(asked)}"

    def next_page(self, headers: Mapping[str, str]) -> str | None:
        """The next page of a listing; BadPeer for one that lies elsewhere."""
        match = _NEXT.search(headers.get("link", ""))
        if match is None:
            return None
        if _origin(match[1]) != _origin(self.endpoint):
            raise BadPeer("The Hub continues its listing on another host; that is not followed.")
        return match[1]

    def _api(self, repo: str) -> str:
        return f"{self.endpoint.rstrip('/')}/api/models/{repo}"


def commit_in(answer: Any) -> str:
    """The commit that an answer to `revision_url` names."""
    commit = answer.get("sha") if isinstance(answer, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise BadPeer("The Hub's answer names no commit; is this the address of a Hub?")
    return commit


def files_in(answer: Any) -> list[HubFile]:
    """The GGUF files of one page of a listing; entries that make no sense, or name no plain path, are passed over."""
    if not isinstance(answer, list):
        raise BadPeer("The Hub's listing is not a list; is this the address of a Hub?")
    return [found for entry in answer if isinstance(entry, dict) and (found := _file(entry)) is not None]


def repositories_in(answer: Any) -> list[dict[str, Any]]:
    """Repositories of a search: `repo`, `downloads`, `gated`, `licence`, each checked."""
    if not isinstance(answer, list):
        raise BadPeer("The Hub's answer is not a list; is this the address of a Hub?")
    return [found for entry in answer if isinstance(entry, dict) and (found := _repository(entry)) is not None]


def chosen(files: Sequence[HubFile], source: HubSource) -> HubFile:
    """The file that a source means; NotFound or Invalid with what there is where none or several fit."""
    if source.path is not None:
        for file in files:
            if file.path == source.path:
                return file
        raise NotFound(f"{source.repo} has no file {source.path!r}.", hint=_what_there_is(files))
    models = [file for file in files if "mmproj" not in PurePosixPath(file.path).name.lower()]
    fitting = [file for file in models if file.quantisation in (source.quantisation, f"UD-{source.quantisation}")]
    exact = [file for file in fitting if file.quantisation == source.quantisation] or fitting
    whole = [file for file in exact if not file.is_shard]
    if len(whole) == 1:
        return whole[0]
    if whole:
        named = ", ".join(file.path for file in whole[:8])
        raise Invalid(
            f"{source.repo} has several files of {source.quantisation}: {named}.",
            hint=f"Name one: hf:{source.repo}/{whole[0].path}",
            errors=[{"field": "source", "message": "more than one file fits"}],
        )
    if exact:
        raise Invalid(
            f"{source.repo} has {source.quantisation} only cut into shards; models in one file are served.",
            errors=[{"field": "source", "message": "cut into shards"}],
        )
    raise NotFound(f"{source.repo} has no GGUF file of {source.quantisation}.", hint=_what_there_is(models))


def _what_there_is(files: Sequence[HubFile]) -> str:
    kinds = sorted({file.quantisation for file in files if file.quantisation and not file.is_shard})
    if kinds:
        return f"It has: {', '.join(kinds[:30])}."
    names = sorted(file.path for file in files)[:10]
    return f"It has: {', '.join(names)}." if names else "It has no GGUF file; look for a conversion of it."


def _file(entry: dict[str, Any]) -> HubFile | None:
    path = entry.get("path")
    if not isinstance(path, str) or len(path) > 1024 or not is_plain_path(path):
        return None
    if entry.get("type") != "file" or not path.lower().endswith(".gguf"):
        return None
    stored = entry.get("lfs")
    lfs: dict[str, Any] = stored if isinstance(stored, dict) else {}
    size, oid = lfs.get("size", entry.get("size")), str(lfs.get("oid", "")).removeprefix("sha256:")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return None
    return HubFile(path, size, oid if _SHA256.fullmatch(oid) else None)


def _repository(entry: dict[str, Any]) -> dict[str, Any] | None:
    name = entry.get("id")
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name, re.ASCII):
        return None
    tags = entry.get("tags")
    listed = tags if isinstance(tags, list) else []
    licences = [tag[8:] for tag in listed if isinstance(tag, str) and tag.startswith("license:")]
    downloads = entry.get("downloads")
    return {
        "repo": name,
        "downloads": downloads if isinstance(downloads, int) else None,
        "gated": bool(entry.get("gated")),
        "licence": licences[0][:64] if licences else None,
    }


def _origin(url: str) -> tuple[str, str | None, int | None]:
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or _DEFAULT_PORTS.get(split.scheme)
