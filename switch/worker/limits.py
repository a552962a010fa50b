"""What an answer is held to, in the engine's terms: a request's wish as sampling, with its grammar. Pure but for time.

A schema may take a while to turn into a grammar, and llama.cpp has to be asked whether it takes one. So this runs
beside the event loop, in a thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from config.errors import Invalid
from switch.openai.constraint import Constraint
from switch.openai.tools import Tools
from switch.openai.wish import Wish
from switch.worker.sampling import Sampling
from switch.worker.schema import SchemaError, grammar_of
from switch.worker.tool_format import Format, grammar_for

MOST_GRAMMAR_BYTES = 4 << 20  # of one that was made of schemas


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one model can be asked for. `refuses` says whether llama.cpp does not take a grammar."""

    n_vocab: int
    n_seq_max: int
    format: Format
    refuses: Callable[[str], bool]

    def check(self, wish: Wish) -> None:
        """Raises Invalid for what this model has not."""
        if wish.choices > self.n_seq_max:
            raise _invalid("n", f"must be at most {self.n_seq_max}: so many answers run at once")
        strange = [token for token, _ in wish.sampling.logit_bias if token >= self.n_vocab]
        if strange:
            raise _invalid(f"logit_bias.{strange[0]}", f"is no token; the model has {self.n_vocab}")

    def sampling(self, wish: Wish, tools: Tools | None) -> Sampling:
        """How to draw, within a grammar where one is wished for; raises Invalid."""
        grammar = self._grammar(wish.constraint, tools)
        return dataclasses.replace(wish.sampling, grammar=grammar) if grammar else wish.sampling

    def _grammar(self, constraint: Constraint | None, tools: Tools | None) -> str:
        field = "tools" if tools else constraint.field if constraint else ""
        try:
            if tools:
                grammar = grammar_for(self.format, tools, constraint)
            elif constraint is None or constraint.grammar:
                grammar = constraint.grammar if constraint else ""
            else:
                grammar = grammar_of(constraint.schema, strict=constraint.strict)
            encoded = grammar.encode()
        except SchemaError as error:
            raise _invalid(field, f"{error}") from error
        except UnicodeEncodeError as error:
            raise _invalid(field, "holds half a surrogate pair, which is no text") from error
        if len(encoded) > MOST_GRAMMAR_BYTES:
            raise _invalid(field, f"makes a grammar of {len(encoded)} bytes; the most is {MOST_GRAMMAR_BYTES}")
        if grammar and self.refuses(grammar):
            raise _invalid(field, "llama.cpp does not take this as a grammar; its log says where")
        return grammar


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"Not as the contract says: {field} {message}.", errors=[{"field": field, "message": message}])
