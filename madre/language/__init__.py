"""Sentences, Spanish or English, to intents: the typed form, a grammar over the registry, a model's guess.

`read` is the way in. Nothing here waits, remembers or acts; the same text at the same moment is read the same.
"""

from __future__ import annotations

from madre.language.intent import Intent, Reading
from madre.language.reading import read

__all__ = ["Intent", "Reading", "read"]
