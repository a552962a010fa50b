"""Texts as vectors: a second, small context beside the one that answers, made when somebody first asks.

It runs on the engine's thread between the batches of answers, a few tokens at a time: llama.cpp computes logits for
each token of a batch in this mode too, so its buffers grow with the vocabulary times the batch. What a model was not
trained to be asked for it gives all the same: without a pooling of its own the mean of all its tokens, as llama.cpp's
server does with `--pooling mean`. Vectors have length 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import add
from typing import Any, Protocol

from config.errors import BadRequest, ModelFailed, VX11Error
from switch.worker.binding import lib
from switch.worker.library import Log, Model
from switch.worker.lifeline import process_memory

MOST_TOKENS = 2048  # of one input
_LOGITS_BYTES = 32 << 20  # of one batch
_FIRST, _LAST, _RANKING = 2, 3, 4  # llama_pooling_type; everything else is a mean
Vector = list[float]


class Vectors(Protocol):
    """What computes vectors; `n_tokens` are the most of one input, `bytes` what it weighs."""

    n_tokens: int
    bytes: int

    @property
    def gives_vectors(self) -> bool:
        """Whether the model is one for vectors at all."""

    def begin(self) -> None:
        """Forget the last input."""

    def step(self, tokens: Sequence[int], done: int, sums: Vector, *, threads: int) -> tuple[int, Vector]:
        """Evaluate a few more tokens after the first `done`; how many are done now, and the sums of their vectors."""


class EmbeddingContext:
    """The memory and compute for vectors. All calls belong to the engine's thread."""

    def __init__(self, model: Model, log: Log, *, n_ctx: int, n_threads: int) -> None:
        self.n_tokens = min(n_ctx, MOST_TOKENS)
        self._pooling = int(model.metadata("pooling_type") or 0)
        causal = model.metadata("attention.causal") != "false"
        # Tokens that look ahead must all be in one batch.
        self._chunk = max(1, min(self.n_tokens, _LOGITS_BYTES // (4 * model.n_vocab))) if causal else self.n_tokens
        before = process_memory()["anonymous_bytes"]
        params = lib.llama_context_default_params()
        params.n_ctx = self.n_tokens
        params.n_batch = params.n_ubatch = self._chunk
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = n_threads
        params.embeddings = True
        params.pooling_type = 0
        params.no_perf = True
        self._handle = lib.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise ModelFailed(f"There is no context for embeddings: {log.last_words()}.")
        self._memory = lib.llama_get_memory(self._handle)
        self._size = int(lib.llama_model_n_embd(model.handle))
        self._log = log
        self._bytes_before: int | None = before
        self.bytes = 0

    @property
    def gives_vectors(self) -> bool:
        """A model that was made to rank gives none."""
        return self._pooling != _RANKING

    def begin(self) -> None:
        """Forget the last input."""
        lib.llama_memory_clear(self._memory, False)

    def step(self, tokens: Sequence[int], done: int, sums: Vector, *, threads: int) -> tuple[int, Vector]:
        """Evaluate a few more tokens after the first `done`; how many are done now, and the sums of their vectors."""
        lib.llama_set_n_threads(self._handle, threads, threads)
        part = tokens[done : done + self._chunk]
        self._use(part)
        self._weigh()
        rows = range(len(part))
        if self._pooling == _FIRST:
            rows = range(0 if done else 1)
        elif self._pooling == _LAST:
            rows = range(len(part) - 1, len(part)) if done + len(part) == len(tokens) else range(0)
        for row in rows:
            vector = lib.llama_get_embeddings_ith(self._handle, row)[: self._size]
            sums = list(map(add, sums, vector)) if sums else vector
        return done + len(part), sums

    def _weigh(self) -> None:
        """What it weighs shows once a batch was computed."""
        if self._bytes_before is not None:
            self.bytes = max(process_memory()["anonymous_bytes"] - self._bytes_before, 0)
            self._bytes_before = None

    def _use(self, tokens: Sequence[int]) -> None:
        array = (lib.llama_token * len(tokens))(*tokens)
        status = lib.llama_decode(self._handle, lib.llama_batch_get_one(array, len(tokens)))
        if status != 0:
            raise ModelFailed(f"The model failed to compute a vector ({status}): {self._log.last_words()}.")


class Embedder:
    """Holds the context once it was needed."""

    def __init__(self, make: Callable[[], Vectors]) -> None:
        self._make = make
        self._context: Vectors | None = None

    @property
    def context(self) -> Vectors:
        """The context, made on first use."""
        if self._context is None:
            self._context = self._make()
        return self._context

    def facts(self) -> dict[str, int] | None:
        """What it holds and weighs, for `/health`; None while nobody has asked for a vector."""
        return None if self._context is None else {"tokens": self._context.n_tokens, "bytes": self._context.bytes}


class EmbeddingErrand:
    """The inputs of one request, for `Engine.run_errand`. `deliver` is called once, on the engine's thread."""

    def __init__(
        self, embedder: Embedder, inputs: Sequence[Sequence[int]], deliver: Callable[[list[Vector] | VX11Error], Any]
    ) -> None:
        self.cancelled = False
        self._embedder = embedder
        self._inputs = inputs
        self._deliver = deliver
        self._vectors: list[Vector] = []
        self._done = 0
        self._sums: Vector = []

    def step(self, threads: int) -> bool:
        """Compute a little; whether that was all of it."""
        if self.cancelled:
            return True
        try:
            self._go_on(self._embedder.context, threads)
        except VX11Error as error:
            self.fail(error)
            return True
        if len(self._vectors) < len(self._inputs):
            return False
        self._deliver(self._vectors)
        return True

    def fail(self, error: VX11Error) -> None:
        """It will not be done."""
        self._deliver(error)

    def _go_on(self, context: Vectors, threads: int) -> None:
        tokens = self._inputs[len(self._vectors)]
        if self._done == 0:
            self._check(context, tokens)
            context.begin()
        self._done, self._sums = context.step(tokens, self._done, self._sums, threads=threads)
        if self._done == len(tokens):
            self._vectors.append(normalised(self._sums))
            self._done, self._sums = 0, []

    def _check(self, context: Vectors, tokens: Sequence[int]) -> None:
        if not context.gives_vectors:
            raise BadRequest("This model was made to rank texts; it gives no vectors.")
        if len(tokens) > context.n_tokens:
            raise BadRequest(
                f"Input {len(self._vectors)} has {len(tokens)} tokens; this model takes {context.n_tokens} at once."
            )


def normalised(vector: Sequence[float]) -> Vector:
    """The vector with length 1; one without a direction stays as it is."""
    length = math.sqrt(math.fsum(value * value for value in vector))
    return [value / length for value in vector] if length > 0 else list(vector)
