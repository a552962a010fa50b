"""Conversations: what was said, what it was about, and for how long anybody remembers it.

A conversation belongs to one user under a name of that user's own: two people's `demo` are two conversations, so
another's cannot be reached, or even be found to exist, by guessing its name. It lives for a time to live after its last
use and then is gone, with everything said in it. Two rooms keep conversations (madre's chat, the operator's page), so
this file is the only writer of `context_7_sessions`.

    Conversation ── turns   the newest of what was said, bounded in number and length
                 └─ topics  the newest act of each kind, and its arguments: what a later sentence may leave out

Inheritance: "open a window on switch", then "make it longer by ten minutes". A field that a sentence leaves out is
taken from the newest topic of the same kind, if it was said a short while ago; a field that was said is never replaced,
and what was taken is told, so that nobody is surprised by what "it" was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from config.db_schema.operator import Context7Session

Speaker = Literal["user", "assistant"]
MAX_TURN_CHARS = 8_000  # of one turn that is remembered; the rest of a longer one is cut off, and says so
MAX_TOPICS = 8
INHERITED_FOR = timedelta(minutes=15)  # "it" means what was spoken of just now, not before lunch
_CUT = " […]"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a conversation lives unused, how many turns it keeps, how many of them one user may have."""

    ttl_sec: float
    turns: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said; `intent_id` and `plan_id` name what came of it."""

    at: datetime
    speaker: Speaker
    text: str
    intent_id: str | None = None
    plan_id: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """The newest act of one kind, as it was understood."""

    name: str
    action: str
    arguments: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """One user's conversation; topics newest first, turns oldest first, `dropped` turns are no longer remembered."""

    user: str
    session_id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    topics: tuple[Topic, ...] = ()
    turns: tuple[Turn, ...] = ()
    dropped: int = 0

    def is_over(self, now: datetime) -> bool:
        """Whether its time to live has passed."""
        return now >= self.expires_at


def begun(user: str, session_id: str, now: datetime, bounds: Bounds) -> Conversation:
    """A conversation in which nothing was said yet."""
    return Conversation(user, session_id, now, now, now + timedelta(seconds=bounds.ttl_sec))


def gone_on(
    conversation: Conversation, said: Iterable[Turn], about: Iterable[Topic], now: datetime, bounds: Bounds
) -> Conversation:
    """The conversation after more was said in it, `about` in the order of saying; its time to live begins anew."""
    turns = (*conversation.turns, *(replace(turn, text=_cut(turn.text)) for turn in said))
    topics = conversation.topics
    for topic in about:
        topics = (topic, *(old for old in topics if old.name != topic.name))[:MAX_TOPICS]
    too_many = max(0, len(turns) - bounds.turns)
    return replace(
        conversation,
        used_at=now,
        expires_at=now + timedelta(seconds=bounds.ttl_sec),
        topics=topics,
        turns=turns[too_many:],
        dropped=conversation.dropped + too_many,
    )


def inherited(
    conversation: Conversation, topic: str, given: Mapping[str, Any], wanted: Iterable[str], now: datetime
) -> dict[str, Any]:
    """Those of the `wanted` fields that `given` lacks and the newest act of the same topic had: only what is added."""
    recent = next((one for one in conversation.topics if one.name == topic), None)
    if recent is None or now - recent.at > INHERITED_FOR:
        return {}
    return {
        name: recent.arguments[name]
        for name in wanted
        if given.get(name) is None and recent.arguments.get(name) is not None
    }


def for_model(conversation: Conversation | None, asked: str, max_chars: int) -> list[dict[str, str]]:
    """The newest turns that fit `max_chars` and then what is asked now, as messages that begin and end with a person.

    Speakers take turns, as chat templates insist: what one said in several goes becomes one message.
    """
    chosen: list[tuple[Speaker, str]] = [("user", asked)]
    for turn in reversed(conversation.turns if conversation else ()):
        max_chars -= len(turn.text)
        if max_chars < 0:
            break
        chosen.append((turn.speaker, turn.text))
    messages: list[dict[str, str]] = []
    for speaker, text in reversed(chosen):
        if messages and messages[-1]["role"] == speaker:
            messages[-1]["content"] += f"\n{text}"
        elif messages or speaker == "user":
            messages.append({"role": speaker, "content": text})
    return messages


def find(session: Session, user: str, session_id: str, now: datetime) -> Conversation | None:
    """The user's live conversation of that name."""
    row = session.get(Context7Session, (user, session_id))
    if row is None:
        return None
    conversation = _conversation(row)
    return None if conversation.is_over(now) else conversation


def go_on(
    session: Session,
    user: str,
    session_id: str,
    said: Sequence[Turn],
    about: Sequence[Topic],
    now: datetime,
    bounds: Bounds,
) -> Conversation:
    """Keep what was said, in the conversation as it is now: what others said in it meanwhile stays.

    Begins it where there is none (any more); the user's longest unused ones give way to a new one.
    """
    before = find(session, user, session_id, now)
    after = gone_on(before or begun(user, session_id, now, bounds), said, about, now, bounds)
    if before is None:
        _make_room(session, user, session_id, bounds.conversations - 1)
    session.merge(_row(after))
    return after


def forget(session: Session, user: str, session_id: str) -> bool:
    """Forget a conversation at once; whether there was one."""
    row = session.get(Context7Session, (user, session_id))
    if row is not None:
        session.delete(row)
    return row is not None


def forget_expired(session: Session, now: datetime) -> int:
    """Delete every conversation whose time has passed; how many."""
    gone = select(func.count()).select_from(Context7Session).where(Context7Session.expires_at <= now)
    count = session.scalar(gone) or 0
    if count:
        session.execute(delete(Context7Session).where(Context7Session.expires_at <= now))
    return count


def _make_room(session: Session, user: str, session_id: str, at_most: int) -> None:
    others = (
        select(Context7Session.session_id)
        .where(Context7Session.user == user, Context7Session.session_id != session_id)
        .order_by(Context7Session.used_at.desc())
        .offset(at_most)
        .limit(100)
    )
    if stale := list(session.scalars(others)):
        session.execute(
            delete(Context7Session).where(Context7Session.user == user, Context7Session.session_id.in_(stale))
        )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TURN_CHARS else text[: MAX_TURN_CHARS - len(_CUT)] + _CUT


def _row(conversation: Conversation) -> Context7Session:
    return Context7Session(
        user=conversation.user,
        session_id=conversation.session_id,
        created_at=conversation.created_at,
        used_at=conversation.used_at,
        expires_at=conversation.expires_at,
        topics=[
            {"name": one.name, "action": one.action, "arguments": dict(one.arguments), "at": one.at.isoformat()}
            for one in conversation.topics
        ],
        turns=[
            {
                "at": one.at.isoformat(),
                "speaker": one.speaker,
                "text": one.text,
                "intent_id": one.intent_id,
                "plan_id": one.plan_id,
            }
            for one in conversation.turns
        ],
        dropped=conversation.dropped,
    )


def _conversation(row: Context7Session) -> Conversation:
    return Conversation(
        user=row.user,
        session_id=row.session_id,
        created_at=row.created_at,
        used_at=row.used_at,
        expires_at=row.expires_at,
        topics=tuple(
            Topic(one["name"], one["action"], one["arguments"], datetime.fromisoformat(one["at"])) for one in row.topics
        ),
        turns=tuple(
            Turn(
                datetime.fromisoformat(one["at"]),
                cast(Speaker, one["speaker"]),
                one["text"],
                one["intent_id"],
                one["plan_id"],
            )
            for one in row.turns
        ),
        dropped=row.dropped,
    )
