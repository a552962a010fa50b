"""A text as tokens: words with the concepts they stand for, and what is not to be read as words.

Whatever is quoted, fenced, or said after the colon of an order to hand it on, is one token that nobody looks into: it
is spoken of, not said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from madre.language import marks, numerals
from madre.language.lexicon import VERBS, vocabulary
from madre.language.spelling import Spelling

_CLITICS = (  # the longest first
    *("melos", "melas", "selos", "selas", "melo", "mela", "selo", "sela", "los", "las", "les", "nos"),
    *("lo", "la", "le", "me", "te", "se"),
)
_HANDED_ON = frozenset(["run", "ask", "notify", "send", "summarise", "translate", "write"])
_FUNCTIONAL = marks.ALL | numerals.KNOWN
_WEEKDAYS = numerals.WEEKDAYS.keys() | numerals.WEEKDAYS_ALL
_MOST_WORDS = 5  # of a phrase of the lexicon
_PIECES = re.compile(
    r"""
    ```(?:[a-z]*\n)?(?P<fenced>.*?)(?:```|\Z)
    | `(?P<code>[^`]*)(?:`|\Z)
    | "(?P<double>[^"]*)(?:"|\Z) | “(?P<curly>[^”]*)(?:”|\Z) | «(?P<angled>[^»]*)(?:»|\Z)
    | (?P<shortened>[^\W\d_]+'(?i:t|d|s|m|ll|re|ve)(?!\w))
    | (?<!\w)'(?P<single>[^'\n]+)'(?!\w)
    | (?P<half>(?<!\w)(?i:[ap]\.\ ?m)(?!\w)(?:\.(?=\ *[a-z,;:]))?)
    | (?P<address>(?i:https?|hf|pypi|file):[^\s"'`]*[^\s"'`.,;!?)])
    | (?P<number>\d+(?:[.,]\d+)?(?![\w:/-]|[.,]\d))
    | (?P<name>/?[\w~][\w./:+@-]*[\w/]|\w)
    | (?P<mark>[.,;:!?¡¿()&\n])
    """,
    re.VERBOSE | re.DOTALL,
)
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])[’´`ʼ](?=(?:t|d|s|m|ll|re|ve)\b)", re.IGNORECASE)
_CODE = re.compile(r"\s+(?!for\b|with\b|durante\b|con\b)[^\s:,]+(?:\(|\s*=|\s+-\w|\s+/|\s*\|)")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


class Kind(StrEnum):
    """What sort of thing a token is."""

    WORD = "word"
    NUMBER = "number"
    NAME = "name"  # an identifier or path: holds digits, dots, slashes
    QUOTE = "quote"
    CODE = "code"
    ADDRESS = "address"
    MARK = "mark"
    SERVICE = "service"
    SPAN = "span"  # a duration or a moment


Grain = Literal["", "day", "clock", "hours", "until"]


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a text, `start` to `end`. `word` is how it is compared: lower case, no accents, mistypings mended
    (`mended` is then true). `it`: an ending says "it". `seconds` and `moment` are a span's, `grain` is what was said of
    its moment (`later`: how long after now, or after a moment before it), and `doubt` why it cannot be meant."""

    kind: Kind
    text: str
    word: str
    start: int
    end: int
    concepts: frozenset[str] = frozenset()
    mended: bool = False
    it: bool = False
    seconds: float | None = None
    moment: datetime | None = None
    grain: Grain = ""
    later: bool = False
    doubt: str | None = None

    @property
    def is_verb(self) -> bool:
        """Whether it can be what is asked for."""
        return not VERBS.keys().isdisjoint(self.concepts)


def tokens_of(text: str, services: Sequence[str]) -> list[Token]:
    """The tokens of `text`, understood word by word."""
    pieces = list(_pieces(_APOSTROPHES.sub("'", text)))
    understood = [_understood(token, tuple(services)) for token in _merged(pieces, services)]
    return _handed_on(understood, text)


@lru_cache(maxsize=2048)
def plain(word: str) -> str:
    """Lower case, without accents."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _pieces(text: str) -> Iterator[Token]:
    for match in _PIECES.finditer(text):
        kind = match.lastgroup or "mark"
        said = match[kind]
        if kind in ("name", "shortened"):
            yield _word_or_name(match)
            continue
        if kind == "half":  # `p.m.`
            yield Token(Kind.WORD, said, said[0].lower() + "m", match.start(), match.end())
            continue
        what = {"fenced": Kind.CODE, "code": Kind.CODE, "address": Kind.ADDRESS, "number": Kind.NUMBER}.get(
            kind, Kind.MARK if kind == "mark" else Kind.QUOTE
        )
        yield Token(what, said.strip(" ") if what is not Kind.CODE else said, said, match.start(), match.end())


def _word_or_name(match: re.Match[str]) -> Token:
    said = match[0]
    word = plain(said)
    kind = Kind.WORD if _WORD.fullmatch(said) or word in marks.CHOICES else Kind.NAME
    if kind is Kind.WORD and len(said) > 3 and said[-1] in "éóíÉÓÍ":  # `borré`: it was done, nobody asks for it
        return Token(kind, said, word, match.start(), match.end(), concepts=frozenset(["past"]))
    return Token(kind, said, word, match.start(), match.end())


def _merged(tokens: list[Token], services: Sequence[str]) -> Iterator[Token]:
    """Phrases of several words become one token each, the longest first."""
    phrases = vocabulary().phrases
    i = 0
    while i < len(tokens):
        for length in range(min(_MOST_WORDS, len(tokens) - i), 1, -1):
            found = phrases.get(tuple(_bare(token) for token in tokens[i : i + length]))
            if found and not (tokens[i].word in services and _is_before_a_day(tokens, i + length)):
                first, last = tokens[i], tokens[i + length - 1]
                said = " ".join(token.text for token in tokens[i : i + length])
                yield Token(Kind.WORD, said, found, first.start, last.end)
                i += length
                break
        else:
            yield tokens[i]
            i += 1


def _is_before_a_day(tokens: Sequence[Token], end: int) -> bool:
    """Whether the `on` before `end` is that of `open switch on monday`, which is no `switch on`."""
    following = (token.word for token in tokens[end : end + _MOST_WORDS])
    day = next((word for word in following if word not in numerals.BEFORE_WEEKDAYS), "")
    return tokens[end - 1].word == "on" and day in _WEEKDAYS


def _bare(token: Token) -> str:
    return token.word if token.kind is Kind.WORD else f"\0{token.kind}"


def _understood(token: Token, services: tuple[str, ...]) -> Token:
    if token.kind not in (Kind.WORD, Kind.NAME):
        return token
    concepts = vocabulary().words.get(token.word, frozenset())
    if "past" in token.concepts:
        return replace(token, concepts=concepts - VERBS.keys())
    name = marks.SPOKEN_SERVICES.get(token.word, token.word)
    if name in services:
        return replace(token, kind=Kind.SERVICE, word=name, concepts=concepts)
    if concepts or token.kind is Kind.NAME or token.word in _FUNCTIONAL:
        return replace(token, concepts=concepts)
    return _without_clitic(token) or _mended(token, services) or token


def _without_clitic(token: Token) -> Token | None:
    """`bórralo` is `borra`, and an "it"."""
    for clitic in _CLITICS:
        stem = token.word.removesuffix(clitic)
        if stem != token.word and (verbs := vocabulary().words.get(stem, frozenset()) & VERBS.keys()):
            return replace(token, word=stem, concepts=verbs, it=clitic[-2:] in ("lo", "la", "le", "os", "as", "es"))
    return None


def _mended(token: Token, services: tuple[str, ...]) -> Token | None:
    meant = _meant(token.word, services)
    if not meant:
        return None
    negators = sorted(meant & marks.NEGATORS)
    word = negators[0] if negators else min(meant)
    if word in services:
        return replace(token, kind=Kind.SERVICE, word=word, mended=True)
    concepts = frozenset().union(*(vocabulary().words.get(near, frozenset()) for near in meant))
    if token.word.startswith(marks.DESTRUCTIVE) and marks.LOSING.isdisjoint(concepts):
        return None
    return replace(token, word=word, concepts=concepts, mended=True)


@lru_cache(maxsize=2048)
def _meant(word: str, services: tuple[str, ...]) -> frozenset[str]:
    return _spelling(services).meant(word)


@lru_cache(maxsize=4)
def _spelling(services: tuple[str, ...]) -> Spelling:
    return Spelling(dict.fromkeys([*vocabulary().words, *sorted(_FUNCTIONAL), *services]))


def _handed_on(tokens: list[Token], text: str) -> list[Token]:
    """What follows the colon (or, of code, the line) of an order to hand something on becomes one token."""
    verbs: frozenset[str] = frozenset()
    for i, token in enumerate(tokens[:-1]):
        verbs |= token.concepts & _HANDED_ON
        if not verbs or not _hands_on(token, verbs, text):
            continue
        if tokens[i + 1].kind in (Kind.QUOTE, Kind.CODE):
            return tokens[:i] + tokens[i + (token.kind is Kind.MARK) :]
        rest = text[token.end :].strip()
        kind = Kind.CODE if "run" in verbs else Kind.QUOTE
        if token.kind is Kind.MARK:
            return [*tokens[:i], Token(kind, rest, rest, token.end, len(text))]
        asks = [last for last in tokens[-1:] if last.word == "?"]  # who writes code without a colon may still ask
        rest = rest.removesuffix("?")
        return [*tokens[: i + 1], Token(kind, rest, rest, token.end, len(text)), *asks]
    return tokens


def _hands_on(token: Token, verbs: frozenset[str], text: str) -> bool:
    """Whether what comes after a token is to be handed on: after a colon, or code after the word for its language."""
    if token.kind is Kind.MARK:
        return token.word == ":" or (token.word == "\n" and "run" in verbs)
    is_language = not token.concepts.isdisjoint(("python", "command", "shell"))
    return "run" in verbs and is_language and _CODE.match(text, token.end) is not None
