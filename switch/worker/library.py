"""Two handles over llama-cpp-python's low-level ctypes API.

`Model` is the weights and the vocabulary, `Context` the memory and the compute of all sequences. A context belongs
to one thread; `Model.tokenize` may be called from any. ctypes releases the GIL during each call, so the event loop
runs on while a batch computes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from switch.worker.backends import load_backends
from switch.worker.batch import Slice
from switch.worker.binding import lib
from switch.worker.compute import AbortedError, DecodeError, LibraryError, NoRoomError
from switch.worker.drawing import Candidates, Sampler, open_grammar
from switch.worker.memory import ContextMemory
from switch.worker.sampling import Sampling

_GGML_LOG_LEVEL_WARN, _GGML_LOG_LEVEL_ERROR = 3, 4


class Log:
    """Keeps the last complaints of llama.cpp, so that an error can say what it said, and passes them on."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._last: list[str] = []
        self._callback = lib.llama_log_callback(self._on_line)
        lib.llama_log_set(self._callback, None)

    def last_words(self) -> str:
        """The complaints since the last call, one line."""
        words, self._last = "; ".join(self._last), []
        return words or "llama.cpp gave no reason"

    def _on_line(self, level: int, text: bytes, _data: object) -> None:
        if level not in (_GGML_LOG_LEVEL_WARN, _GGML_LOG_LEVEL_ERROR):
            return
        line = text.decode("utf-8", "replace").strip()
        self._emit(line)
        if level == _GGML_LOG_LEVEL_ERROR:
            self._last = [*self._last[-3:], line]


class Model:
    """The weights (mapped from the file) and the vocabulary. `on_progress` is told 0.0 to 1.0 while it loads."""

    def __init__(
        self, path: str, log: Log, *, use_extra_bufts: bool = True, on_progress: Callable[[float], None] | None = None
    ) -> None:
        load_backends()
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.use_extra_bufts = use_extra_bufts
        progress = lib.llama_progress_callback(lambda done, _data: on_progress is None or on_progress(done) is None)
        params.progress_callback = progress
        handle = lib.llama_model_load_from_file(path.encode(), params)
        if not handle:
            raise LibraryError(log.last_words())
        self.handle = handle
        self.vocab = lib.llama_model_get_vocab(handle)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        self.n_ctx_train = lib.llama_model_n_ctx_train(handle)
        self.size_bytes = lib.llama_model_size(handle)
        self.n_params = lib.llama_model_n_params(handle)
        self.window = lib.llama_model_n_swa(handle)
        self.is_recurrent = bool(lib.llama_model_is_recurrent(handle) or lib.llama_model_is_hybrid(handle))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self.vocab))
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self._buffer = ctypes.create_string_buffer(64)

    def metadata(self, name: str) -> str | None:
        """What the file says under `<architecture>.<name>`, as text."""
        architecture = self._metadata("general.architecture")
        return self._metadata(f"{architecture}.{name}")

    def _metadata(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(256)
        length = lib.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template in the file, if it has one."""
        source = lib.llama_model_chat_template(self.handle, None)
        return source.decode("utf-8", "replace") if source else None

    @property
    def bos_text(self) -> str:
        """The text of the begin-of-sequence token, as templates spell it; empty where there is none."""
        return self._token_text(lib.llama_vocab_bos(self.vocab))

    @property
    def eos_text(self) -> str:
        """The text of the end-of-sequence token; empty where there is none."""
        return self._token_text(lib.llama_vocab_eos(self.vocab))

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = True) -> list[int]:
        """`text` as tokens; with `parse_special`, control tokens spelled out in it count. Callable from any thread."""
        raw = text.encode("utf-8")
        room = len(raw) + 8
        tokens = (lib.llama_token * room)()
        count = lib.llama_tokenize(self.vocab, raw, len(raw), tokens, room, add_special, parse_special)
        if count < 0:
            raise LibraryError(f"a text of {len(raw)} bytes could not be tokenized ({count})")
        return list(tokens[:count])

    def control_texts(self) -> list[str]:
        """How each control token is spelled. Looks at the whole vocabulary (0.1 s for 262,144). From any thread."""
        unwritten = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        attribute, vocab = lib.llama_vocab_get_attr, self.vocab
        found = [token for token in range(self.n_vocab) if attribute(vocab, token) & unwritten]
        return [lib.llama_vocab_get_text(vocab, token).decode("utf-8", "replace") for token in found]

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to an answer; control tokens add none. For the engine's thread only."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._render(token, special=False)
        return known

    def ends(self, token: int) -> bool:
        """Whether the token means the end of an answer. For the engine's thread only."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(lib.llama_vocab_is_eog(self.vocab, token))
        return known

    def refuses_grammar(self, text: str) -> bool:
        """Whether llama.cpp does not take a grammar (GBNF). Callable from any thread."""
        grammar = open_grammar(self.vocab, text)
        if grammar is not None:
            lib.llama_sampler_free(grammar)
        return grammar is None

    def close(self) -> None:
        """Give the weights back; contexts of it must be closed before."""
        lib.llama_model_free(self.handle)

    def _token_text(self, token: int) -> str:
        return "" if token < 0 else self._render(token, special=True).decode("utf-8", "replace")

    def _render(self, token: int, *, special: bool) -> bytes:
        length = lib.llama_token_to_piece(self.vocab, token, self._buffer, len(self._buffer), 0, special)
        if length < 0:
            self._buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self.vocab, token, self._buffer, -length, 0, special)
        return self._buffer.raw[:length]


class _Abort:
    """A flag that C reads: libc's `strlen` is the abort callback and the flag a string of length 0 or 1.

    A Python callback would take the GIL at each of the hundreds of nodes of a graph; this one costs
    nothing and lets any thread end a prefill within milliseconds.
    """

    def __init__(self, context: Any) -> None:
        self._flag = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        assert strlen is not None
        self._callback = lib.ggml_abort_callback(strlen)
        lib.llama_set_abort_callback(context, self._callback, ctypes.addressof(self._flag))

    def set(self, wanted: bool) -> None:
        self._flag[0] = b"\x01" if wanted else b"\x00"


class Context:
    """The memory and the compute of all sequences of one model. All calls but `abort` belong to one thread."""

    def __init__(
        self, model: Model, log: Log, *, kv_tokens: int, n_seq_max: int, n_batch: int, n_threads: int, n_kept: int = 0
    ) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx = kv_tokens
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = n_seq_max + n_kept
        # Sliding-window layers otherwise forget what a sequence that parts earlier would need (decision 0009).
        params.swa_full = n_kept > 0
        # Without this the library reserves logits for every token of a batch: half a GB for a large vocabulary.
        params.n_outputs_max = n_seq_max + n_kept  # llama.cpp aborts below n_seq_max
        params.n_threads = params.n_threads_batch = n_threads
        params.kv_unified = True
        params.no_perf = True
        handle = lib.llama_init_from_model(model.handle, params)
        if not handle:
            raise LibraryError(log.last_words())
        self.handle = handle
        self._log = log
        self.memory = ContextMemory(handle, window=model.window)
        self._model = model
        self._threads = n_threads
        self._abort = _Abort(handle)
        self._allocate(n_batch)

    def _allocate(self, n_batch: int) -> None:
        """One batch for the life of the context, over arrays of our own: filled by slices, not token by token."""
        self._tokens = (lib.llama_token * n_batch)()
        self._positions = (lib.llama_pos * n_batch)()
        self._seq_ids = (lib.llama_seq_id * n_batch)()
        self._wanted = (ctypes.c_int8 * n_batch)()
        self._one_each = (ctypes.c_int32 * n_batch)(*([1] * n_batch))
        cell, size = lib.llama_seq_id, ctypes.sizeof(lib.llama_seq_id)
        base = ctypes.addressof(self._seq_ids)
        pointers = [ctypes.pointer(cell.from_address(base + row * size)) for row in range(n_batch)]
        self._seq_pointers = (ctypes.POINTER(cell) * n_batch)(*pointers)
        self._batch = lib.llama_batch(
            0, self._tokens, None, self._positions, self._one_each, self._seq_pointers, self._wanted
        )

    def decode(
        self, slices: Sequence[Slice], tokens: Iterable[tuple[Sequence[int], int]], *, threads: int
    ) -> list[int]:
        """Evaluate one batch; return for each slice the row to sample from, or -1 where it wants none.

        `tokens` gives for each slice its tokens and the position of the first. Raises AbortedError, DecodeError.
        """
        rows, at = [], 0
        for part, (values, start) in zip(slices, tokens, strict=True):
            end = at + part.size
            self._tokens[at:end] = values
            self._positions[at:end] = range(start, start + part.size)
            self._seq_ids[at:end] = (part.seq_id,) * part.size
            self._wanted[at:end] = [0] * part.size
            self._wanted[end - 1] = part.last
            rows.append(end - 1 if part.last else -1)
            at = end
        self._batch.n_tokens = at
        self._use_threads(threads)
        self._raise_for(lib.llama_decode(self.handle, self._batch))
        return rows

    def sampler(self, sampling: Sampling) -> Sampler:
        """A fresh sampler for one request."""
        return Sampler(sampling, vocab=self._model.vocab, n_vocab=self._model.n_vocab)

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to the answer."""
        return self._model.piece(token)

    def ends(self, token: int) -> bool:
        """Whether a token ends the answer."""
        return self._model.ends(token)

    def draw(self, sampler: Sampler, row: int) -> int:
        """The next token of the sequence whose logits stand in `row` of the last batch; raises GrammarError."""
        if sampler.grammar is not None:
            return self._candidates.draw(sampler, self.handle, row)
        return int(lib.llama_sampler_sample(sampler.handle, self.handle, row))

    def chances(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """The probability of `token` in `row` of the last batch, and the `top` likeliest tokens with theirs."""
        return self._candidates.chances(self.handle, row, token, top)

    @cached_property
    def _candidates(self) -> Candidates:
        """Made on first use: it is as large as the vocabulary, and most requests do without."""
        return Candidates(self._model.n_vocab)

    def logits(self, row: int) -> list[float]:
        """The logits in `row` of the last batch, one a token of the vocabulary."""
        return list(lib.llama_get_logits_ith(self.handle, row)[: self._model.n_vocab])

    def abort(self, wanted: bool) -> None:
        """Ask the running batch to give up, from any thread; or take that back."""
        self._abort.set(wanted)

    def close(self) -> None:
        """Give the memory back."""
        lib.llama_free(self.handle)

    def _use_threads(self, threads: int) -> None:
        if threads != self._threads:
            lib.llama_set_n_threads(self.handle, threads, threads)
            self._threads = threads

    def _raise_for(self, status: int) -> None:
        if status == 2:
            raise AbortedError("the batch was given up")
        if status == 1:
            raise NoRoomError("no cells are left for the batch")
        if status != 0:
            raise DecodeError(f"llama_decode answered {status}: {self._log.last_words()}")
