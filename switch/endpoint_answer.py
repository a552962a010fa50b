"""What an endpoint is sent and what it says: its refusals in our words, its answers checked. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from config.errors import BadPeer, BadRequest, TooManyRequests, Unavailable, VX11Error
from switch.account import Usage
from switch.event_stream import EventSplitter, content_of, is_comment, is_done
from switch.orders import Order

_MESSAGE_CHARACTERS = 500
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]+)?")
_NO_MONEY_SEC, _WRONG_KEY_SEC = 3600.0, 300.0  # how long before it is worth trying again
_OWN_METADATA = {"fallback", "task_type"}


def body_for(order: Order) -> bytes:
    """The order's body as an endpoint gets it: what the caller wrote, unless something in it is for VX11 alone.

    A stream's usage is always asked for, because budgets are counted from it.
    """
    request = dict(order.request)
    metadata = request.get("metadata")
    if isinstance(metadata, dict) and _OWN_METADATA & metadata.keys():
        request["metadata"] = {key: value for key, value in metadata.items() if key not in _OWN_METADATA}
    if order.stream:
        options = request.get("stream_options")
        request["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    if request.get("model") == order.model and request == order.request:
        return order.body
    return json.dumps({**request, "model": order.model}).encode()


def refusal(name: str, status: int, retry_after: str | None, body: str) -> VX11Error:
    """What a status other than 200 of the provider `name` means, with its own words where it has some."""
    said = message_in(body)
    words = f": {said}" if said else "."
    wait = float(retry_after) if retry_after and _SECONDS.fullmatch(retry_after) else None
    if status == 429:
        return TooManyRequests(f"{name} is asked too often{words}", retry_after_sec=wait)
    if status in (401, 403):
        return Unavailable(f"{name} refused its key.", hint="Mend api_key in the providers' file.",
                           retry_after_sec=_WRONG_KEY_SEC)  # fmt: skip
    if status == 402:
        return Unavailable(f"{name} wants money{words}", retry_after_sec=_NO_MONEY_SEC)
    if status in (400, 409, 413, 415, 422):
        return BadRequest(f"{name} refused the request{words}")
    if status == 503:
        return Unavailable(f"{name} is not available{words}", retry_after_sec=wait)
    return BadPeer(f"{name} answered with status {status}{words}")


def message_in(body: str) -> str | None:
    """The message of an error answer in OpenAI's shape, or a problem's detail; None where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    found = error.get("message") if isinstance(error, dict) else error or answer.get("detail") or answer.get("message")
    return found[:_MESSAGE_CHARACTERS] if isinstance(found, str) else None


def whole_answer(name: str, body: bytes) -> bytes:
    """`body`, once it is known to be an OpenAI answer; BadPeer for anything else, with its error's words."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise BadPeer(f"{name} answered with something that is not JSON.") from None
    _object_with(name, answer, ("choices", "data"))
    return body


def _object_with(name: str, answer: object, members: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(answer, dict):
        if answer.get("error"):
            words = message_in(json.dumps(answer))
            raise BadPeer(f"{name} answered with an error" + (f": {words}" if words else "."))
        if any(isinstance(answer.get(member), list) for member in members):
            return answer
    raise BadPeer(f"{name} answered with something that is no OpenAI answer.")


class StreamCheck:
    """Follows one stream: passes whole events on, drops a usage event nobody asked for, knows whether it was all."""

    def __init__(self, order: Order, name: str) -> None:
        options = order.request.get("stream_options")
        self._wants_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._name = name
        self._splitter = EventSplitter()
        self._open_choices = order.n
        self.usage: Usage | None = None
        self.is_over = False

    def passed(self, piece: bytes) -> bytes:
        """What goes on of another piece."""
        return b"".join(event for event in self._splitter.feed(piece) if not self.is_over and self._goes_on(event))

    def ended(self) -> bytes:
        """The connection ended: the missing `[DONE]` of a whole answer, or BadPeer."""
        self.is_over = True
        if self._open_choices > 0 or self._splitter.rest.strip():
            raise BadPeer(f"{self._name} broke off in the middle of its answer.")
        return b"data: [DONE]\n\n"

    def _goes_on(self, event: bytes) -> bool:
        if is_comment(event):
            return False
        if is_done(event):
            if self._open_choices > 0:
                raise BadPeer(f"{self._name} ended its answer without a reason.")
            self.is_over = True
            return True
        content = _object_with(self._name, content_of(event), ("choices",))
        if isinstance(usage := content.get("usage"), dict):
            self.usage = Usage(_tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"))
        for choice in content["choices"]:
            if isinstance(choice, dict) and choice.get("finish_reason"):
                self._open_choices -= 1
        return bool(content["choices"]) or self._wants_usage


def _tokens(usage: dict[str, Any], name: str) -> int | None:
    tokens = usage.get(name)
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0 else None
