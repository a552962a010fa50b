"""Jinja for code that nobody here has read: no way out, and no way to stay in for long.

Jinja's own sandbox keeps a template from Python's insides. What it leaves open is time and memory: a loop in a loop,
a macro that calls itself twice, `'x' * 10**9`, `'%999999999d'`, a text that doubles forty times. So each turn of a
loop and each call looks at a deadline, sums and products of texts and lists are measured before they are made, nested
values before they are written out, and what only pads or fills is not offered. It is no promise against a template
that means harm with patience: it bounds a worker's time, not the machine's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from typing import Any

from jinja2 import Template, TemplateError, nodes, pass_eval_context
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent, do_join, do_replace
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_CHARACTERS = 64 << 20  # four times the longest body
MOST_MEMBERS = 1 << 20  # of a list, or of a value with all that is inside
MOST_NUMBER_BITS = 256
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "format_map", "translate"})
_FILTERS_LEFT_OUT = ("center", "wordwrap", "urlize", "xmlattr", "pprint", "random", "slice", "batch", "filesizeformat")


class TooExpensiveError(TemplateError):
    """The template takes more time or memory than it is given."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` renders what is inside."""

    tags: set[str] = {"generation"}  # noqa: RUF012 - the type Jinja declares

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Keep the body, drop the marks."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one chat template; threads may render at the same time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, seconds: float) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=_measured
        )
        self._seconds = seconds
        self._render = threading.local()
        for name in _FILTERS_LEFT_OUT:
            del self.filters[name]
        del self.globals["lipsum"]
        self.filters.update(
            replace=_replace, join=_join, indent=_indent, format=_no_format, string=_text_of, tojson=_tojson
        )

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Put a look at the clock into each loop, and measure each `~`."""
        tree: nodes.Template = _Guards().visit(super()._parse(source, name, filename))
        return tree

    def render(self, template: Template, **members: Any) -> str:
        """The text of `template`; raises TemplateError, among them TooExpensiveError."""
        self._render.deadline = time.thread_time() + self._seconds
        parts, size = [], 0
        for part in template.generate(**members):
            self.tick()
            parts.append(part)
            size += len(part)
            if size > MOST_CHARACTERS:
                raise TooExpensiveError("the chat template makes too long a prompt")
        return "".join(parts)

    def tick(self) -> str:
        """Look at the clock; nothing to print."""
        if time.thread_time() > self._render.deadline:
            raise TooExpensiveError("the chat template takes too long")
        return ""

    def concatenated(self, *values: Any) -> str:
        """`a ~ b`, measured."""
        texts = [_text_of(value) for value in values]
        _check_size(sum(map(len, texts)))
        return "".join(texts)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call within the deadline, of nothing that pads or fills."""
        self.tick()
        name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        if isinstance(owner, str):
            if name in _PADDING:
                raise TooExpensiveError(f"a chat template may not use {name}()")
            if name == "replace":
                _check_replace(owner, *args, **kwargs)
            if name == "join":
                return _join_of(owner, *args)
        return super().call(context, function, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        """`text.format(…)`, without widths and of a measured size."""
        formatted = super().wrap_str_format(value)
        if formatted is None:
            return None
        pattern = str(value.__self__)

        def measured(*args: Any, **kwargs: Any) -> Any:
            if ":" in pattern or "!" in pattern:
                raise TooExpensiveError("a chat template may not format with widths")
            longest = max((len(_text_of(one)) for one in (*args, *kwargs.values())), default=0)
            _check_size(len(pattern) + pattern.count("{") * longest)
            return formatted(*args, **kwargs)

        return measured

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operation whose result is not large."""
        if operator == "%" and isinstance(left, str):
            raise TooExpensiveError("a chat template may not format with %")
        _check_operands(operator, left, right)
        return super().call_binop(context, operator, left, right)


class _Guards(NodeTransformer):
    """Adds what keeps a template within its bounds."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's way to name visitors
        """Each turn of a loop looks at the clock. Macros need not: calling one does."""
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_own("tick", [], node), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """`a ~ b` becomes a call that measures first."""
        self.generic_visit(node)
        return _own("concatenated", node.nodes, node)


def _own(method: str, arguments: list[nodes.Expr], near: nodes.Node) -> nodes.Call:
    """A call of the sandbox's own, by a way that no name in a template can hide."""
    return nodes.Call(nodes.EnvironmentAttribute(method), arguments, [], None, None, lineno=near.lineno)


def _size(value: Any) -> int:
    """Characters of a text; a list as if each member were a short one."""
    if isinstance(value, list | tuple):
        return len(value) * (MOST_CHARACTERS // MOST_MEMBERS)
    return len(value) if isinstance(value, str) else 0


def _check_size(size: int) -> None:
    if size > MOST_CHARACTERS:
        raise TooExpensiveError("a text or a list in the chat template becomes too large")


def _measured(value: Any) -> Any:
    """`value`, if what is inside it can be written out; a list that holds itself twice, forty times over, cannot."""
    waiting, seen = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
        seen += 1
        if seen > MOST_MEMBERS or len(waiting) > MOST_MEMBERS:
            raise TooExpensiveError("a value in the chat template is too large to be written out")
    return value


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else str(_measured(value))


def _tojson(value: Any, indent: int | None = None, **options: Any) -> str:
    """Plain JSON; Jinja's own filter escapes HTML, which a model would read literally."""
    known = {name: options[name] for name in ("separators", "sort_keys", "ensure_ascii") if name in options}
    return json.dumps(_measured(value), indent=indent, **{"ensure_ascii": False, **known})


def _check_operands(operator: str, left: Any, right: Any) -> None:
    if operator == "+":
        _check_size(_size(left) + _size(right))
    elif operator == "*":
        _check_size(max(_size(left) * _whole(right), _size(right) * _whole(left)))
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
        if operator in ("*", "**") and bits > MOST_NUMBER_BITS:
            raise TooExpensiveError("a number in the chat template becomes too large")


def _whole(value: Any) -> int:
    return max(value, 0) if isinstance(value, int) else 0


def _check_replace(text: str, old: Any = "", new: Any = "", *_count: Any) -> None:
    if isinstance(old, str) and isinstance(new, str):
        _check_size(len(text) + (text.count(old) if old else len(text) + 1) * len(new))


@pass_eval_context
def _replace(eval_ctx: Any, text: str, old: str, new: str, count: int | None = None) -> str:
    _check_replace(str(text), old, new)
    return do_replace(eval_ctx, text, old, new, count)


def _join_of(separator: str, values: Iterable[str]) -> str:
    texts = list(values)
    _check_size(sum(map(_size, texts)) + len(separator) * len(texts))
    return separator.join(texts)


@pass_eval_context
def _join(eval_ctx: Any, value: Any, d: str = "", attribute: Any = None) -> str:
    values = list(_measured(list(value)))
    _check_size(sum(map(_size, values)) + len(str(d)) * len(values))
    return str(do_join(eval_ctx, values, d, attribute))


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    wide = width if isinstance(width, int) else len(width)
    _check_size(len(text) + (text.count("\n") + 1) * wide)
    return str(do_indent(text, width, first, blank))


def _no_format(*_values: Any) -> str:
    raise TooExpensiveError("a chat template may not format with %")
