"""The model's chat template: Jinja from the GGUF, rendered in a sandbox.

The template is the model author's code and the messages are the user's, so neither is trusted: immutable sandbox, no
attribute tricks, bounded `range`. What templates in the wild expect is what Hugging Face's `transformers`
offers (`utils/chat_template_utils.py`): `raise_exception`, `strftime_now`, `tojson`, loop controls, and the
`generation` tag, which only marks what training should learn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import BadRequest


class TemplateUnusableError(Exception):
    """The template of the model is not one that can be compiled; the message says where."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` renders what is inside."""

    tags: set[str] = {"generation"}  # noqa: RUF012 - the type Jinja declares

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Keep the body, drop the marks."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """Turns messages into the prompt the model was trained to continue."""

    def __init__(self, source: str, *, bos: str, eos: str, now: Callable[[], datetime]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(
            raise_exception=_refuse, strftime_now=lambda pattern: now().strftime(pattern), bos_token=bos, eos_token=eos
        )
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise TemplateUnusableError(f"{error.message} (line {getattr(error, 'lineno', '?')})") from error

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """The prompt for `messages`, up to where the assistant speaks; raises BadRequest with the template's reason."""
        try:
            return self._template.render(messages=list(messages), add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise BadRequest(f"The chat template of the model does not take these messages: {error}") from error


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(value: Any, indent: int | None = None) -> str:
    """Plain JSON; Jinja's own filter escapes HTML, which a model would read literally."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
