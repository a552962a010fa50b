"""The model's chat template: Jinja from the GGUF, rendered in a sandbox.

The template is the model author's code and the messages are the user's, so neither is trusted (`sandbox`). What
templates in the wild expect is what Hugging Face's `transformers` offers (`utils/chat_template_utils.py`):
`raise_exception`, `strftime_now`, `tojson`, loop controls, and the `generation` tag, which only marks what training
should learn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError

from config.errors import BadRequest
from switch.worker.sandbox import Sandbox

RENDER_SECONDS = 5.0
_FAULTS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
)


class TemplateUnusableError(Exception):
    """The template of the model is not one that can be compiled; the message says where."""


class ChatTemplate:
    """Turns messages into the prompt the model was trained to continue. Callable from any thread."""

    def __init__(
        self, source: str, *, bos: str, eos: str, now: Callable[[], datetime], seconds: float = RENDER_SECONDS
    ) -> None:
        self.source = source
        self._sandbox = Sandbox(seconds=seconds)
        self._sandbox.globals.update(
            raise_exception=_refuse, strftime_now=lambda pattern: now().strftime(pattern), bos_token=bos, eos_token=eos
        )
        try:
            self._template = self._sandbox.from_string(source)
        except (TemplateError, RecursionError) as error:
            where = getattr(error, "lineno", "?")
            raise TemplateUnusableError(f"{getattr(error, 'message', error)} (line {where})") from error

    def render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None) -> str:
        """The prompt for `messages`, up to where the assistant speaks; raises BadRequest with the template's reason."""
        members = {
            "messages": list(messages),
            "add_generation_prompt": True,
            **({"tools": list(tools)} if tools else {}),
        }
        try:
            return self._sandbox.render(self._template, **members)
        except _FAULTS as error:
            raise BadRequest(f"The chat template of the model does not take these messages: {error}"[:500]) from error

    def takes_system(self) -> bool:
        """Whether a conversation may begin with a message of the system."""
        try:
            said = self.render([{"role": "system", "content": "S-1"}, {"role": "user", "content": "U-1"}])
        except BadRequest:
            return False
        return "S-1" in said


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
