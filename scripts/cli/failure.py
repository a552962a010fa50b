"""How a command ends that could not be carried out."""

from __future__ import annotations


class CommandFailed(Exception):
    """`sentence` says what went wrong, `remedy` what to type or do next."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
