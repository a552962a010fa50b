"""Mistyped words: the nearest word of a vocabulary, found by what is left when a letter is taken out of both.

The index holds each known word under itself and all it becomes by losing a letter, as SymSpell does; a lookup is a
handful of dictionary reads, whatever the size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 4  # shorter words are too near to each other
_LONG = 8  # from here on two mistakes are forgiven
_INFLECTED = ("o", "s", "n", "d", "ed", "ado", "ada", "ido", "ida", "ando", "endo", "ing", "er", "or")
_ALIKE = str.maketrans("vzcy", "bssi")  # letters that sound alike


class Spelling:
    """Knows some words, and finds the one that was meant."""

    def __init__(self, words: Iterable[str]) -> None:
        self._index: dict[str, tuple[str, ...]] = {}
        for word in words:
            if len(word) >= SHORTEST and "_" not in word:
                for rest in _without_a_letter(word):
                    self._index[rest] = (*self._index.get(rest, ()), word)

    def meant(self, word: str) -> frozenset[str]:
        """The known words that are nearest to `word`, none if all are too far: one mistake, two in a long word.

        A different ending is no mistake but another form (`deleted`, `borro`), which may mean something else.
        """
        if len(word) < SHORTEST or not word.isalpha():
            return frozenset()
        allowed = 2 if len(word) >= _LONG else 1
        found = {known for rest in _without_a_letter(word) for known in self._index.get(rest, ())}
        near = {
            known: distance
            for known in found
            if _is_near(word, known) and (distance := mistakes(word, known)) <= allowed
        }
        least = min(near.values(), default=0)
        return frozenset(known for known, distance in near.items() if distance == least)


def mistakes(one: str, other: str) -> int:
    """Letters to be changed, added, dropped or swapped with their neighbour to turn one word into the other.

    Optimal string alignment (restricted Damerau-Levenshtein).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _without_a_letter(word: str) -> set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _is_near(word: str, known: str) -> bool:
    """Whether one may be the other mistyped. In a word of four, another letter makes another word (`true`, `trae`)."""
    replaced = len(word) == len(known) == SHORTEST and sorted(word.translate(_ALIKE)) != sorted(known.translate(_ALIKE))
    return known[0] == word[0] and not replaced and not _inflects(word, known)


def _inflects(word: str, known: str) -> bool:
    """Whether the words may differ by their grammar: they begin alike, and the one that was said ends as forms do."""
    alike = min(len(word), len(known)) - 2
    if known.startswith(word) or sorted(known) == sorted(word):  # the end is missing, letters are swapped
        return False
    return word[:alike] == known[:alike] and any(
        word.endswith(ending) and not known.endswith(ending) for ending in _INFLECTED
    )
