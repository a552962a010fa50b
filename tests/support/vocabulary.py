"""A vocabulary of bytes, with a few control tokens above them."""

from __future__ import annotations

import re

CONTROLS = {"<|im_start|>": 256, "<|im_end|>": 257, "[INST]": 258, "EOT": 259}


class ByteVocabulary:
    """Implements `switch.worker.prompts.Vocabulary`: each byte is a token, and so is each control text."""

    n_vocab = 256 + len(CONTROLS)

    def __init__(self) -> None:
        self.looked = 0

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = True) -> list[int]:
        """Bytes, and control tokens where they count."""
        if not parse_special:
            return list(text.encode())
        pieces = re.split("(" + "|".join(map(re.escape, CONTROLS)) + ")", text)
        return [token for piece in pieces for token in ([CONTROLS[piece]] if piece in CONTROLS else piece.encode())]

    def control_texts(self) -> list[str]:
        """All of them; counts how often it was asked."""
        self.looked += 1
        return list(CONTROLS)
