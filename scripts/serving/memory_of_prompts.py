"""The second turn of a conversation whose first had a thousand tokens: its first token beside the cold one.

Three ways: right after the first turn; three conversations taking turns on two slots; after the model was put out of
memory and came back (once with the load inside the time, once with the model loaded already).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scripts.measuring import running_fleet
from scripts.serving.asking import Client, Streamed, middle, prose, ratio
from scripts.serving.case import Wish, asleep, models_of

_WORDS = 990  # about a thousand tokens of SmolLM2; the answer says how many
_ANSWER_TOKENS = 12
_LATER = ("Say that in fewer words.", "And what comes after that?", "Why do you think so?")


@dataclass
class Conversation:
    """One conversation over the door: what was said so far."""

    client: Client
    model: str
    number: int
    messages: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The long beginning, another for each number."""
        self.messages.append({"role": "system", "content": prose(_WORDS, self.number)})

    async def says(self, text: str) -> Streamed:
        """One turn, which is then part of the conversation."""
        self.messages.append({"role": "user", "content": text})
        body = {"model": self.model, "messages": self.messages, "max_tokens": _ANSWER_TOKENS}
        answer = await self.client.stream(body, path="/v1/chat/completions")
        self.messages.append({"role": "assistant", "content": answer.text})
        return answer


async def measure(wish: Wish) -> dict[str, Any]:
    """All three ways on one fleet with two slots, `wish.runs` times each."""
    with running_fleet([wish.smallest], VX11_SWITCH_PARALLEL="2") as fleet:
        async with Client(fleet.url) as client:
            [model] = await models_of(client)
            await Conversation(client, model, 0).says("Hello.")  # loads the model, and compiles what is compiled late
            straight = await _straight(client, model, wish.runs)
            in_turns = await _in_turns(client, model, max(2, wish.runs // 2))
            with_load = await _after_eviction(client, model, wish.runs, first=2000, loaded=False)
            loaded = await _after_eviction(client, model, wish.runs, first=3000, loaded=True)
    return {
        "model": wish.smallest.name,
        "runs": wish.runs,
        "second_turn": straight.figures(),
        "three_conversations_on_two_slots": in_turns.figures(),
        "after_eviction_load_included": with_load.figures(),
        "after_eviction_model_loaded": loaded.figures(),
    }


@dataclass
class _Turns:
    """First and later turns of several conversations."""

    cold: list[Streamed] = field(default_factory=list)
    warm: list[Streamed] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        cold, warm = [one.first_ms for one in self.cold], [one.first_ms for one in self.warm]
        return {
            "cold_prompt_tokens": middle([one.prompt_tokens for one in self.cold], 0),
            "cold_first_token_ms": middle(cold),
            "warm_prompt_tokens": middle([one.prompt_tokens for one in self.warm], 0),
            "warm_cached_tokens": middle([one.cached_tokens for one in self.warm], 0),
            "warm_first_token_ms": middle(warm),
            "warm_first_token_ms_worst": round(max(warm), 1),
            "ratio": ratio(warm, cold),
        }


async def _straight(client: Client, model: str, runs: int) -> _Turns:
    turns = _Turns()
    for number in range(1, runs + 1):
        talk = Conversation(client, model, number)
        turns.cold.append(await talk.says("What is this about?"))
        turns.warm.append(await talk.says(_LATER[0]))
    return turns


async def _in_turns(client: Client, model: str, runs: int) -> _Turns:
    turns = _Turns()
    for run in range(runs):
        talks = [Conversation(client, model, 1000 + 3 * run + which) for which in range(3)]
        turns.cold += [await talk.says("What is this about?") for talk in talks]
        for text in _LATER[:2]:
            turns.warm += [await talk.says(text) for talk in talks]
    return turns


async def _after_eviction(client: Client, model: str, runs: int, *, first: int, loaded: bool) -> _Turns:
    turns = _Turns()
    for run in range(runs):
        talk = Conversation(client, model, first + run)
        turns.cold.append(await talk.says("What is this about?"))
        await asleep(client, model)
        if loaded:
            await client.stream({"model": model, "prompt": "Hello.", "max_tokens": 2})
        turns.warm.append(await talk.says(_LATER[0]))
    return turns
