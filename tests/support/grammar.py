"""Whether a text is one of a grammar's, asked of llama.cpp with a real vocabulary."""

from __future__ import annotations

import ctypes

from switch.worker.binding import lib
from switch.worker.drawing import open_grammar
from switch.worker.library import Log, Model
from tests.support.worker import model_file


class Judge:
    """Asks llama.cpp, byte token by byte token, whether a grammar takes a text."""

    def __init__(self) -> None:
        self._log = Log(lambda _line: None)
        self._model = Model(str(model_file("smollm2*.gguf")), self._log)

    def compiles(self, grammar: str) -> bool:
        """Whether llama.cpp takes the grammar at all."""
        return not self._model.refuses_grammar(grammar)

    def takes(self, grammar: str, text: str) -> bool:
        """Whether the whole text, and an end after it, are allowed."""
        sampler = open_grammar(self._model.vocab, grammar)
        assert sampler is not None, grammar
        try:
            for token in self._model.tokenize(text, add_special=False):
                if not self._allows(sampler, token):
                    return False
                lib.llama_sampler_accept(sampler, token)
            return self._allows(sampler, lib.llama_vocab_eos(self._model.vocab))
        finally:
            lib.llama_sampler_free(sampler)

    def _allows(self, sampler: object, token: int) -> bool:
        one = lib.llama_token_data(token, 1.0, 0.0)
        alone = lib.llama_token_data_array(ctypes.pointer(one), 1, -1, False)
        lib.llama_sampler_apply(sampler, ctypes.byref(alone))
        return bool(one.logit != float("-inf"))
