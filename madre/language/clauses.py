"""Sentences cut into clauses, one for each thing that may be asked for, and how each is meant.

What is uncertain is read the safe way: a negation goes on through commas and conjunctions until a word of contrast or
the sentence's end; one `?` makes the whole sentence a question; what hangs on something that nobody can tell ("when it
rains", "every night", "or") is doubted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from madre.language import marks
from madre.language.numerals import words
from madre.language.times import at_one_time
from madre.language.words import Kind, Token

CHECKABLE = ("drift", "incidents", "problems")  # what an act may hang on: a step before has found it
_ENDS = frozenset(".!?;\n¿¡")
_GREETINGS = words("hola hey hi hello oye oiga ok okay vale bueno bien please por_favor pls porfa y and pero but so")
_SKIPPED = marks.FILLERS | marks.WISHES | marks.JOINERS | marks.CONTRASTS | marks.CHOICES | marks.PRONOUNS
_SKIPPED |= marks.NEGATORS | marks.WITHOUT | (marks.OTHERWISE - marks.OTHERS)
_BETWEEN = marks.JOINERS | marks.CONTRASTS | marks.CHOICES | marks.OTHERWISE
_LEAD = _BETWEEN | {","}
_ASKED = marks.MODALS | marks.ASKED
_FILLERS_AT_MOST = 32  # words without a meaning of their own before a verb; more are noise, and cost a look each
_INSTEAD = words("en_vez_de en_lugar_de instead_of rather_than sin without")
_HOW_ARE_YOU = words("esta estan va van anda andan sigue is are")
_LOOKING = frozenset(["check", "show", "verify", "test", "discover"])
_WHOLE = frozenset(["summarise", "translate", "write"])  # the prompt is the order itself
_CHANGING = words("to a al the on off over")  # after the verb `switch`
_SOMEBODY = words("someone somebody anyone anybody nobody alguien nadie")  # `someone should` asks nobody
_TOWARDS = words("a al el la the to de le que that me nos us")
_REST = frozenset(["ask", "notify"])  # the prompt is what follows


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a sentence. `condition` is what must be found first; `doubt` is why it cannot be done as said.

    `denies`: it says a no itself, not only one of the parts before it. `sentence`: which one of the text it is of.
    """

    tokens: tuple[Token, ...]
    is_question: bool = False
    is_negated: bool = False
    denies: bool = False
    condition: str | None = None
    doubt: str | None = None
    sentence: int = 0

    @property
    def may_act(self) -> bool:
        """Whether it asks for something, and plainly."""
        return not (self.is_question or self.is_negated or self.doubt)


def clauses_of(tokens: Sequence[Token], text: str) -> list[Clause]:
    """The clauses of a text, in the order they were said."""
    found: list[Clause] = []
    for number, (sentence, asks) in enumerate(_sentences(tokens)):
        parts = list(_parts(_unaddressed(sentence), text))
        handed_on = any(token.kind is Kind.QUOTE and token.word == "" for part in parts for token in part)
        is_question = (asks and not (handed_on and sentence[0].word != "¿")) or _is_asked(parts)
        meant = _meant(parts)
        if meant and all(clause.is_negated and all(map(_is_skipped, clause.tokens)) for clause in meant):
            found = [replace(clause, is_negated=True) for clause in found]  # "… No, don't."
        found += [replace(clause, is_question=is_question, sentence=number) for clause in meant]
    return found


def _sentences(tokens: Sequence[Token]) -> Iterator[tuple[list[Token], bool]]:
    """Sentences with whether a `?` ends them."""
    current: list[Token] = []
    for token in tokens:
        if token.kind is not Kind.MARK or token.word not in _ENDS:
            current.append(token)
            continue
        if any(said.word != "¿" and said.kind is not Kind.NUMBER for said in current):
            yield current, token.word == "?" or current[0].word == "¿"
        current = [token] if token.word == "¿" else []
    if current:
        yield current, current[0].word == "¿"


def _unaddressed(sentence: list[Token]) -> list[Token]:
    """A sentence without the service it is said to (`hermes, scan the folder`); one that "it" means comes last."""
    if len(sentence) > 1 and sentence[0].word == "si" and sentence[1].word == ",":
        return sentence[2:]  # "si, borra" is a yes without its accent
    first = next((i for i, token in enumerate(sentence) if token.word not in _GREETINGS), 0)
    rest = sentence[first + 2 :]
    following = next((token for token in rest if not _is_skipped(token)), None)
    if sentence[first].kind is not Kind.SERVICE or following is None or not following.is_verb:
        return sentence
    if sentence[first + 1].word not in (",", ":"):
        return sentence
    means_it = following.it and not any(token.kind is Kind.SERVICE for token in rest)
    return [*sentence[:first], *rest, *([sentence[first]] if means_it else [])]


def _is_asked(parts: Sequence[Sequence[Token]]) -> bool:
    """Whether a sentence asks without a question mark: by how it begins, by a word like `how to` anywhere, or by a
    `can you` before any of its verbs."""
    said = [token for part in parts for token in part if token.kind is not Kind.MARK]
    return _begins_asking(said) or _wonders(said) or any(map(_is_polite, parts))


def _begins_asking(said: Sequence[Token]) -> bool:
    first = next((i for i, token in enumerate(said) if token.word not in _GREETINGS), None)
    if first is None:
        return False
    following = said[first + 1].word if first + 1 < len(said) else ""
    if said[first].word in marks.ASKING and following not in ("noche", "tarde", "semana"):
        return True
    meant = next((token for token in said[first:] if not _is_skipped(token)), None)
    return meant is not None and meant.word in marks.INTERROGATIVES and not meant.concepts


def _wonders(said: Sequence[Token]) -> bool:
    first = next((token for token in said if token.word not in _GREETINGS), None)
    telling = first is not None and "show" in first.concepts
    for token, after in zip_longest(said, said[1:]):
        if token.word in marks.EMBEDDED:
            return True
        if telling and token.word in marks.WONDERING and (after is None or after.word not in _HOW_ARE_YOU):
            return True
    return False


def _is_polite(part: Sequence[Token]) -> bool:
    """Whether a part is an order put as a question: `me puedes abrir`, `now could you open`; not `what you can do`."""
    said = [token for token in part if token.kind is not Kind.MARK]
    before_anything, relative = True, False
    for i, token in enumerate(said):
        if token.word in marks.MODALS and not token.concepts and said[i - 1].word not in _SOMEBODY:
            if before_anything or (not relative and _asks_somebody(said, i)):
                return True
        elif token.word not in marks.ASKED:
            relative = token.word in marks.RELATIVE
        before_anything = before_anything and _is_courtesy(token)
    return False


def _asks_somebody(said: Sequence[Token], i: int) -> bool:
    """Whether the modal at `i` is put to somebody, or before a verb; `switch should be up` is neither."""
    following = said[i + 1 : i + _FILLERS_AT_MOST]
    if said[i].word not in marks.IMPERSONAL or (following and following[0].word in marks.ASKED):
        return True
    verb = next((token for token in following if not _is_courtesy(token)), None)
    return verb is not None and verb.is_verb


def _is_courtesy(token: Token) -> bool:
    """Whether a token may stand between `can` and the verb."""
    return _is_skipped(token) or (token.word in _ASKED and not token.concepts)


def _parts(sentence: Sequence[Token], text: str) -> Iterator[list[Token]]:
    """A sentence cut before whatever begins something new. What is to be handed on stays in one piece."""
    start, only_fillers = 0, True  # whether nothing but these stands between `start` and here
    for i in range(len(sentence)):
        if i > start and _begins(sentence, i) and not only_fillers:
            yield list(sentence[start:i])
            start, only_fillers = i, True
        if only_fillers and sentence[i].concepts & (_WHOLE | _REST):
            end = _end_of_message(sentence, i)
            yield [*sentence[start:i], *_handing_on(sentence[i:end], text)]
            start = end
            break
        only_fillers = only_fillers and _is_skipped(sentence[i])
    if start < len(sentence):
        yield list(sentence[start:])


def _begins(sentence: Sequence[Token], i: int) -> bool:
    token = sentence[i]
    if _is_condition(token):
        return sentence[i - 1].concepts.isdisjoint(_LOOKING)  # "check if there is drift" hangs on nothing
    instead = token.word in _INSTEAD and not token.concepts
    if not instead and token.word != "," and token.word not in _BETWEEN:
        return False
    within = range(i + 1, min(len(sentence), i + _FILLERS_AT_MOST))
    following = next((j for j in within if not _is_courtesy(sentence[j])), None)
    if following is None:
        return False
    if instead:
        return _is_doing(sentence[following])
    denied = any(said.word in marks.NEGATORS for said in sentence[i:following])
    return denied or _is_order(sentence, following) or _is_condition(sentence[following])


def _is_order(sentence: Sequence[Token], i: int) -> bool:
    """Whether a token is a verb; the service `switch` is one only as in `switch to eco`."""
    if sentence[i].kind is not Kind.SERVICE:
        return sentence[i].is_verb
    following = sentence[i + 1] if i + 1 < len(sentence) else None
    return sentence[i].is_verb and following is not None and (following.word in _CHANGING or bool(following.concepts))


def _is_condition(token: Token) -> bool:
    return token.word in marks.CONDITIONS and "í" not in token.text.casefold()


def _is_doing(token: Token) -> bool:
    """Whether a token names an act: a verb, or an English gerund (`without restarting`)."""
    return token.is_verb or (token.kind is Kind.WORD and token.word.endswith("ing") and len(token.word) > len("string"))


def _is_skipped(token: Token) -> bool:
    """Whether a token may stand before the verb of a clause."""
    if token.kind in (Kind.SPAN, Kind.MARK):
        return True
    return not token.concepts and not _is_condition(token) and token.word in _SKIPPED


def _end_of_message(sentence: Sequence[Token], i: int) -> int:
    """Where what is handed on ends; a notice ends where a condition begins, or another order."""
    if "notify" not in sentence[i].concepts:
        return len(sentence)
    return next(
        (
            j
            for j in range(i + 1, len(sentence))
            if _is_condition(sentence[j])
            or sentence[j].word in marks.UNKNOWABLE
            or (sentence[j].word in marks.JOINERS and j + 1 < len(sentence) and sentence[j + 1].is_verb)
        ),
        len(sentence),
    )


def _handing_on(tokens: Sequence[Token], text: str) -> list[Token]:
    """The verb, whom it is said to, and the message as one token (whose `word` is empty: it was not quoted)."""
    verb = tokens[0]
    whole = bool(verb.concepts & _WHOLE) and not any("patch" in token.concepts for token in tokens)
    if verb.concepts & _WHOLE and not whole:
        return list(tokens)
    quoted = [token for token in tokens if token.kind in (Kind.QUOTE, Kind.CODE)]
    if quoted and not whole and ("notify" in verb.concepts or all(map(_is_address, tokens[1:]))):
        return [token for token in tokens if token.kind is not Kind.SERVICE]
    first = 0 if whole else next((i for i in range(1, len(tokens)) if not _is_towards(tokens[i])), len(tokens))
    moments = [token for token in tokens[1:first] if token.kind is Kind.SPAN]
    if first == len(tokens):
        return [verb, *moments]
    start, end = tokens[first].start, tokens[-1].end
    return [verb, *moments, Token(Kind.QUOTE, text[start:end], "", start, end)]


def _is_towards(token: Token) -> bool:
    """Whether a token stands between the verb and the message: to whom, and when (`qué` is of the message)."""
    if token.kind is Kind.SPAN:
        return token.moment is not None
    return token.kind is Kind.SERVICE or "model" in token.concepts or (token.word in _TOWARDS and token.text.isascii())


def _is_address(token: Token) -> bool:
    """Whether a token only says to whom something is handed on, or is what is."""
    return token.kind in (Kind.SERVICE, Kind.QUOTE, Kind.CODE, Kind.MARK) or token.word in marks.FILLERS


def _meant(parts: Sequence[list[Token]]) -> list[Clause]:
    """The parts of one sentence as clauses, each with what the ones before leave to it."""
    clauses: list[Clause] = []
    negated, condition, doubt = False, None, _doubt(parts)
    for number, part in enumerate(parts):
        lead = [token.word for token in part[: _lead(part)]]
        negated = (negated and marks.CONTRASTS.isdisjoint(lead)) or _is_denied(part)
        condition = condition if marks.OTHERWISE.isdisjoint(lead) else None
        rest: Sequence[Token] = part[_lead(part) :]
        when = _moments(rest)
        if len(when) < len(rest) and _is_condition(rest[len(when)]):
            condition, unknown, rest = _condition(rest[len(when) :])
            doubt = doubt or unknown
            rest = [*when, *rest]
            is_last = number == len(parts) - 1 and len(_moments(rest)) == len(rest)
            if clauses and (is_last or not lead):
                clauses[-1] = replace(clauses[-1], condition=condition)
            if clauses and is_last:  # "…, if there is drift tomorrow": of what hangs on it
                said, unknown = at_one_time([*clauses[-1].tokens, *rest])
                clauses[-1], rest, doubt = replace(clauses[-1], tokens=said), (), doubt or unknown
        said, unknown = at_one_time(rest)
        doubt = doubt or unknown
        if said:
            clauses.append(Clause(said, is_negated=negated, denies=_says_no(rest), condition=condition))
    return [replace(clause, doubt=doubt) for clause in clauses]


def _moments(part: Sequence[Token]) -> list[Token]:
    """The moments that a part begins with, and the commas between them."""
    end = next((i for i, token in enumerate(part) if token.moment is None and token.word != ","), len(part))
    return list(part[:end])


def _lead(part: Sequence[Token]) -> int:
    """How many tokens only join a part to the one before."""
    return next((i for i, token in enumerate(part) if token.word not in _LEAD or token.is_verb), len(part))


def _is_denied(part: Sequence[Token]) -> bool:
    if any(token.word in marks.NEGATORS for token in part):
        return True
    return any(one.word in marks.WITHOUT and not one.concepts and _is_doing(other) for one, other in pairwise(part))


def _says_no(part: Sequence[Token]) -> bool:
    """Whether a part is a no of its own: `don't open it`; not `without opening it`, nor `instead of opening it`."""
    return any(token.word in marks.NEGATORS and token.word not in _INSTEAD for token in part)


def _condition(part: Sequence[Token]) -> tuple[str | None, str | None, Sequence[Token]]:
    """What a part hangs on, why that is doubtful, and what it asks for then, with the moments said up to there."""
    place = next((i for i, token in enumerate(part) if not token.concepts.isdisjoint(CHECKABLE)), None)
    begin = 1 if place is None else place + 1
    end = next((i for i in range(begin, len(part)) if part[i].is_verb or part[i].word == ","), len(part))
    said = " ".join(token.text for token in part[:end])
    rest = [*(token for token in part[:end] if token.moment is not None), *part[end:]]
    if place is None or place >= end or any(token.word in marks.NEGATORS for token in part[:end]):
        return None, f"nobody here can tell {said!r}", rest
    condition = next(name for name in CHECKABLE if name in part[place].concepts)
    return condition, None, rest


def _doubt(parts: Sequence[list[Token]]) -> str | None:
    """Why a sentence cannot be done as it is said."""
    before, conditional = "", False
    for token in (token for part in parts for token in part):
        if not token.concepts and (why := _doubted(token, before, conditional=conditional)):
            return why
        before, conditional = token.word, conditional or _is_condition(token)
    return None


def _doubted(token: Token, before: str, *, conditional: bool) -> str | None:
    if token.doubt:
        return token.doubt
    if token.word in marks.CHOICES:
        return f"{token.text!r} leaves a choice"
    if token.word in marks.REPEATING:
        return f"{token.text!r} is more than once: nothing here does a thing again by itself"
    if token.word in marks.UNKNOWABLE:
        return f"nobody here can tell {token.text!r}"
    if token.word in marks.EXCEPTIONS:
        return f"{token.text!r} leaves something out"
    branches = token.word in marks.OTHERWISE and before not in marks.BEFORE_ELSE
    if branches or (conditional and token.word == "sino"):
        return f"{token.text!r} asks for one thing or another"
    return None
