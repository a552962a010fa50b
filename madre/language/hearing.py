"""Arguments out of a clause: for each `Heard`, what of the clause fills it.

A function looks at the tokens that are still free and gives the value with the places it stands on.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from config.services import CORE
from madre.actions import Arguments, Heard
from madre.language import marks
from madre.language.quantities import memory_at, number_at
from madre.language.words import Kind, Token

_AUDIO_FILE = re.compile(r".*\.(wav|flac|mp3|ogg|aiff?|m4a)$", re.IGNORECASE)
_SITE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(/\S*)?", re.IGNORECASE)
_SOURCES = ("hf:", "pypi:", "file:", "http:", "https:")


@dataclass(frozen=True, slots=True)
class Hearable:
    """What is listened to: the tokens of a clause, which of them are free, the names of services, and what "it" is."""

    tokens: Sequence[Token]
    free: frozenset[int]
    services: Sequence[str]
    it: Mapping[Heard, Any]

    def of(self, *kinds: Kind) -> Iterator[tuple[int, Token]]:
        """The free tokens of these kinds, with their places."""
        return ((i, self.tokens[i]) for i in sorted(self.free) if self.tokens[i].kind in kinds)

    @property
    def says_it(self) -> bool:
        """Whether something is only pointed at."""
        return any(token.it or (token.word in marks.PRONOUNS and not token.concepts) for token in self.tokens)


Found = tuple[Any, frozenset[int]] | None
ONE_EACH = frozenset([Heard.NAME, Heard.SERVICE, Heard.ID, Heard.FILE])  # heard as lists: an intent for each of them


@dataclass(frozen=True, slots=True)
class Listened:
    """An argument that can be said: its name, how it is heard, and the values it may have (none: any)."""

    name: str
    how: Heard
    values: tuple[str, ...]
    is_required: bool


@cache
def listened(arguments: type[Arguments]) -> tuple[Listened, ...]:
    """The arguments of an action that a sentence can say."""
    return tuple(
        Listened(name, how, _values(field.annotation), field.is_required())
        for name, field in arguments.model_fields.items()
        for how in field.metadata
        if isinstance(how, Heard)
    )


def hear(argument: Listened, around: Hearable) -> Found:
    """What `argument` is, and where that is said; what "it" is, where nothing is."""
    found = _EARS[argument.how](argument, around)
    if found is None and around.says_it and argument.how in around.it:
        return around.it[argument.how], frozenset()
    return found


def _values(annotation: Any) -> tuple[str, ...]:
    return tuple(typing.get_args(annotation)) if typing.get_origin(annotation) is typing.Literal else ()


def _service(_argument: Listened, around: Hearable) -> Found:
    return _listed(around, [(i, token.word) for i, token in around.of(Kind.SERVICE)])


def _services(_argument: Listened, around: Hearable) -> Found:
    named = list(around.of(Kind.SERVICE))
    if named:
        return list(dict.fromkeys(token.word for _, token in named)), frozenset(i for i, _ in named)
    if any("all" in token.concepts for _, token in around.of(Kind.WORD)):
        said = {i for i, token in around.of(Kind.WORD) if token.concepts & {"all", "service", "system"}}
        others = [token for i, token in around.of(Kind.WORD) if i not in said and _is_content(token)]
        if all(token.is_verb for token in others):
            return [name for name in around.services if name not in CORE], frozenset(said)  # the core never sleeps
    return None


def _duration(_argument: Listened, around: Hearable) -> Found:
    for i, token in around.of(Kind.SPAN):
        if token.seconds is not None:
            return round(token.seconds) if token.seconds >= 1 else token.seconds, frozenset([i])
    return None


def _until(_argument: Listened, around: Hearable) -> Found:
    """A span that is said by its end: `until 18:00`; `to one hour` is that too, `by one hour` is not."""
    for i, token in around.of(Kind.SPAN):
        is_end = token.grain == "until" or (i > 0 and around.tokens[i - 1].word in ("a", "to"))
        if token.seconds is not None and is_end:
            return round(token.seconds) if token.seconds >= 1 else token.seconds, frozenset([i])
    return None


def _memory(_argument: Listened, around: Hearable) -> Found:
    for i in sorted(around.free):
        if found := memory_at(around.tokens, i):
            return round(found[0]), frozenset(range(i, found[1]))
    return None


def _count(argument: Listened, around: Hearable) -> Found:
    for i in sorted(around.free):
        found = number_at(around.tokens, i)
        if found and found[1] < len(around.tokens) and argument.name in around.tokens[found[1]].concepts:
            return round(found[0]), frozenset(range(i, found[1] + 1))
    return None


def _name(_argument: Listened, around: Hearable) -> Found:
    """The names that are said, one for each thing: `gemma 3` is one, `gemma and smollm` are two."""
    words = [i for i, token in around.of(Kind.WORD) if _may_name(token)]
    exact = [i for i, _ in around.of(Kind.NAME, Kind.QUOTE, Kind.CODE)]
    first = exact or words
    if not first:
        return None
    names: list[str] = []
    places: set[int] = set()
    for i in sorted({*exact, *words}):
        token = around.tokens[i]
        if i - 1 in places and names:
            names[-1] += f"-{token.word}"
        elif not names or _joined(around.tokens, max(places), i):
            names.append((token.text if token.kind is Kind.QUOTE else token.word).lower())
        else:
            continue
        places.add(i)
        if i + 1 in around.free and around.tokens[i + 1].kind is Kind.NUMBER:
            names[-1] += f"-{around.tokens[i + 1].text}"
            places.add(i + 1)
    return names, frozenset(places)


def _joined(tokens: Sequence[Token], before: int, i: int) -> bool:
    """Whether a word goes on with a list: `gemma, smollm y otro`."""
    between = tokens[before + 1 : i]
    return bool(between) and all(token.word in marks.JOINERS or token.word == "," for token in between)


def _may_name(token: Token) -> bool:
    return _is_content(token) and not token.concepts and not token.mended


def _is_content(token: Token) -> bool:
    return token.word not in marks.ALL and token.kind is not Kind.MARK


def _text(_argument: Listened, around: Hearable) -> Found:
    return next(((token.text.strip(), frozenset([i])) for i, token in around.of(Kind.QUOTE, Kind.CODE)), None)


def _code(_argument: Listened, around: Hearable) -> Found:
    found = [*around.of(Kind.CODE), *around.of(Kind.QUOTE)]
    return (found[0][1].text, frozenset([found[0][0]])) if found and found[0][1].text.strip() else None


def _id(_argument: Listened, around: Hearable) -> Found:
    named = around.of(Kind.NAME, Kind.NUMBER, Kind.QUOTE)
    return _listed(around, [(i, token.text) for i, token in named if any(map(str.isdigit, token.text))])


def _listed(around: Hearable, named: Sequence[tuple[int, str]]) -> Found:
    """The first of some things and those said in one list with it: `switch, hermes and the service spawner`."""
    if not named:
        return None
    listed = [named[0]]
    for i, name in named[1:]:
        if not _in_one_list(around.tokens[listed[-1][0] + 1 : i]):
            break
        listed.append((i, name))
    return list(dict.fromkeys(name for _, name in listed)), frozenset(i for i, _ in listed)


def _in_one_list(between: Sequence[Token]) -> bool:
    """Whether what stands between two things only lists them; a noun may be said again."""
    joins = any(token.word in marks.JOINERS or token.word == "," for token in between)
    return joins and not any(token.is_verb or (_is_content(token) and not token.concepts) for token in between)


def _source(_argument: Listened, around: Hearable) -> Found:
    for i, token in around.of(Kind.ADDRESS):
        if token.text.lower().startswith(_SOURCES):
            return token.text, frozenset([i])
    return None


def _url(_argument: Listened, around: Hearable) -> Found:
    for i, token in around.of(Kind.ADDRESS, Kind.NAME):
        if token.text.lower().startswith(("http:", "https:")):
            return token.text, frozenset([i])
        if _SITE.fullmatch(token.text) and not _AUDIO_FILE.match(token.text):
            return f"https://{token.text}", frozenset([i])
    return None


def _files(_argument: Listened, around: Hearable) -> Found:
    found = [(i, token) for i, token in around.of(Kind.NAME, Kind.QUOTE) if _AUDIO_FILE.match(token.text)]
    return ([token.text for _, token in found], frozenset(i for i, _ in found)) if found else None


def _file(_argument: Listened, around: Hearable) -> Found:
    named = around.of(Kind.NAME, Kind.QUOTE)
    return _listed(around, [(i, token.text) for i, token in named if _AUDIO_FILE.match(token.text)])


def _choice(argument: Listened, around: Hearable) -> Found:
    for i, token in around.of(Kind.WORD, Kind.NAME, Kind.SERVICE):
        for value in argument.values:
            if _means(token, value.casefold()) or value.casefold() == token.word:
                return value, frozenset([i])
    return None


def _means(token: Token, value: str) -> bool:
    return value in token.concepts or f"={value}" in token.concepts


def _flag(argument: Listened, around: Hearable) -> Found:
    """A flag may be what is asked for (`verify the models`), so every word is heard, free or not."""
    for i, token in enumerate(around.tokens):
        if _means(token, argument.name):
            denied = i > 0 and around.tokens[i - 1].word in marks.WITHOUT
            return not denied, frozenset([i - 1, i] if denied else [i])
    return None


_EARS: Mapping[Heard, Callable[[Listened, Hearable], Found]] = {
    Heard.SERVICE: _service,
    Heard.SERVICES: _services,
    Heard.DURATION: _duration,
    Heard.UNTIL: _until,
    Heard.MEMORY: _memory,
    Heard.COUNT: _count,
    Heard.NAME: _name,
    Heard.TEXT: _text,
    Heard.CODE: _code,
    Heard.ID: _id,
    Heard.SOURCE: _source,
    Heard.URL: _url,
    Heard.FILE: _file,
    Heard.FILES: _files,
    Heard.CHOICE: _choice,
    Heard.FLAG: _flag,
}
