"""Drawing a token from logits: a request's chain of samplers, its grammar, and what chances the other tokens had.

With a grammar the draw is as in llama.cpp's own server (`common/sampling.cpp`): first without it, and only a token
it refuses costs a draw among all that it allows, because asking a grammar about one token is a thousand times
cheaper than about all.

Arrays of a whole vocabulary are filled through strided views, which copy in C without numpy.
"""

from __future__ import annotations

import ctypes
import time
from array import array
from collections.abc import Callable
from typing import Any

from switch.worker.binding import lib
from switch.worker.compute import GrammarError
from switch.worker.sampling import Sampling, stages

# Processor seconds of one token, and of taking it alone. A grammar that is ambiguous in a recursion doubles its work
# with each character, so it is given up early; the largest plain ones need 0.1 and 0.005.
GRAMMAR_SECONDS, TAKING_SECONDS = 1.0, 0.03
_ROOT = b"root"
_FIELDS = 3  # of llama_token_data: id, logit, p; four bytes each
_REFUSED = float("-inf")


def _logit_bias(n_vocab: int, pairs: tuple[tuple[int, float], ...]) -> Any:
    biases = (lib.llama_logit_bias * len(pairs))(*(lib.llama_logit_bias(*pair) for pair in pairs))
    return lib.llama_sampler_init_logit_bias(n_vocab, len(pairs), biases)


_SAMPLERS: dict[str, Callable[..., Any]] = {
    "logit_bias": _logit_bias,
    "penalties": lib.llama_sampler_init_penalties,
    "greedy": lib.llama_sampler_init_greedy,
    "top_k": lib.llama_sampler_init_top_k,
    "typical": lib.llama_sampler_init_typical,
    "top_p": lib.llama_sampler_init_top_p,
    "min_p": lib.llama_sampler_init_min_p,
    "temp": lib.llama_sampler_init_temp,
    "dist": lib.llama_sampler_init_dist,
}


def open_grammar(vocab: Any, text: str) -> Any:
    """A grammar's sampler, or None where llama.cpp does not take the grammar. Callable from any thread."""
    return lib.llama_sampler_init_grammar(vocab, text.encode(), _ROOT) or None


class Sampler:
    """The draw of one request: a chain of llama.cpp samplers with its own random state, and perhaps a grammar."""

    __slots__ = ("grammar", "handle", "penalised")

    def __init__(self, sampling: Sampling, *, vocab: Any, n_vocab: int) -> None:
        self.grammar = open_grammar(vocab, sampling.grammar) if sampling.grammar else None
        if sampling.grammar and self.grammar is None:
            raise GrammarError("llama.cpp does not take the grammar")
        self.penalised = sampling.penalised
        self.handle = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for stage in stages(sampling, n_vocab=n_vocab):
            lib.llama_sampler_chain_add(self.handle, _SAMPLERS[stage.name](*stage.arguments))

    def close(self) -> None:
        """Free the chain and the grammar."""
        lib.llama_sampler_free(self.handle)
        if self.grammar is not None:
            lib.llama_sampler_free(self.grammar)


class Candidates:
    """One array of a whole vocabulary, for whatever needs to look at all tokens; it belongs to the engine's thread."""

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        memory = (ctypes.c_char * (4 * _FIELDS * n_vocab))()
        flat = memoryview(memory).cast("B")
        self._ids, self._logits = flat.cast("i")[0::_FIELDS], flat.cast("f")[1::_FIELDS]
        self._every_id = memoryview(array("i", range(n_vocab)))
        self._data = ctypes.cast(memory, ctypes.POINTER(lib.llama_token_data))
        self._list = lib.llama_token_data_array(self._data, n_vocab, -1, False)
        self._one = lib.llama_token_data()
        self._dist = lib.llama_sampler_init_dist(0)

    def draw(self, sampler: Sampler, context: Any, row: int) -> int:
        """The next token among those the grammar of `sampler` allows; raises GrammarError."""
        started = time.thread_time()
        token = self._free_draw(sampler, context, row)
        if not self._allows(sampler.grammar, token):
            self._fill(context, row)
            token = self._pick(sampler.grammar, sampler.handle)
        chosen = time.thread_time()
        lib.llama_sampler_accept(sampler.grammar, token)
        taken = time.thread_time()
        if taken - chosen > TAKING_SECONDS or taken - started > GRAMMAR_SECONDS:
            raise GrammarError("the grammar is too ambiguous: the time for a token grows and grows")
        if sampler.penalised:
            lib.llama_sampler_accept(sampler.handle, token)
        return token

    def chances(self, context: Any, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """The probability of `token` before any sampling parameter, and the `top` likeliest tokens with theirs."""
        self._fill(context, row)
        lib.llama_sampler_apply(self._dist, ctypes.byref(self._list))
        drawn = float(self._data[token].p)
        if not top:
            return drawn, []
        likeliest = lib.llama_sampler_init_top_k(top)
        lib.llama_sampler_apply(likeliest, ctypes.byref(self._list))
        lib.llama_sampler_free(likeliest)
        return drawn, [(int(one.id), float(one.p)) for one in self._data[: self._list.size]]

    def _free_draw(self, sampler: Sampler, context: Any, row: int) -> int:
        """A draw as if there were no grammar. Penalties must not count it before it is allowed."""
        if not sampler.penalised:
            return int(lib.llama_sampler_sample(sampler.handle, context, row))
        self._fill(context, row)
        return self._pick(sampler.handle)

    def _pick(self, *samplers: Any) -> int:
        for sampler in samplers:
            lib.llama_sampler_apply(sampler, ctypes.byref(self._list))
        chosen = self._data[max(self._list.selected, 0)]
        if self._list.selected < 0 or chosen.logit == _REFUSED:
            raise GrammarError("the grammar allows no token of this model here")
        return int(chosen.id)

    def _allows(self, grammar: Any, token: int) -> bool:
        self._one.id, self._one.logit = token, 1.0
        alone = lib.llama_token_data_array(ctypes.pointer(self._one), 1, -1, False)
        lib.llama_sampler_apply(grammar, ctypes.byref(alone))
        return bool(self._one.logit != _REFUSED)

    def _fill(self, context: Any, row: int) -> None:
        address = ctypes.addressof(lib.llama_get_logits_ith(context, row).contents)
        self._ids[:] = self._every_id
        self._logits[:] = memoryview((ctypes.c_float * self._n_vocab).from_address(address)).cast("B").cast("f")
        self._list.size, self._list.selected, self._list.sorted = self._n_vocab, -1, False
