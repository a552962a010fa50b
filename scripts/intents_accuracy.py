"""How well sentences are understood: accuracy for each class, what must never happen, and the time a sentence takes.

The sentences stand in `tests/unit/madre/language/sentences.json`, each with the intents that it comes to (action,
arguments, risk, condition, moment). Those marked `later` were written when the grammar stood; docs/decisions/0018 has
the figure of their first reading.

    python -m scripts.intents_accuracy [--sentences FILE] [--json]        exit code 1 where something unsafe was read
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.contracts.plans import Risk
from config.services import FLEET
from madre.language import Intent, Reading, read

SENTENCES = Path(__file__).resolve().parent.parent / "tests" / "unit" / "madre" / "language" / "sentences.json"
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)  # a Saturday; the sentences' moments are reckoned from it
_SERVICES = tuple(FLEET)
_LOSING = (
    *("borra", "borre", "elimin", "quita", "destru", "mata", "formate", "vací", "desinstal", "suprim", "purg"),
    *("delet", "remov", "kill", "wipe", "erase", "drop ", "get rid", "format the", "uninstall", "nuke", "rm -"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence and what it should come to; `expected` holds an intent's fields as JSON has them."""

    text: str
    kind: str
    language: str
    expected: tuple[dict[str, Any], ...]
    is_question: bool
    is_negated: bool
    is_later: bool

    def reading(self) -> Reading:
        """What it is read as."""
        return read(self.text, now=NOW, services=_SERVICES)

    def fits(self, reading: Reading) -> bool:
        """Whether it was read as it should be, to the last argument."""
        meant = (self.is_question, self.is_negated) == (reading.is_question, reading.is_negated)
        return meant and [shown(intent) for intent in reading.intents] == list(self.expected)

    def wrongs(self, reading: Reading) -> list[str]:
        """What must never happen and did."""
        may_not_act = (self.is_question or self.is_negated) and not self.expected
        found = ["acts although it is asked or denied"] if may_not_act and reading.acts else []
        losing = [one for one in reading.intents if any(word in one.original_text.lower() for word in _LOSING)]
        changing = [one for one in losing if one.action not in _HANDING_ON]
        return found + [f"LOW: {one.original_text}" for one in changing if one.risk is Risk.LOW]


_HANDING_ON = ("switch.ask", "comm.notify")  # words, whatever they say, lose nothing


def shown(intent: Intent) -> dict[str, Any]:
    """An intent as the sentences' file has it."""
    optional = {
        "condition": intent.condition,
        "not_before": intent.not_before and intent.not_before.strftime("%Y-%m-%dT%H:%M:00Z"),
    }
    said = {"action": intent.action, "parameters": intent.parameters, "risk": intent.risk.value}
    return said | {name: value for name, value in optional.items() if value}


def examples(file: Path = SENTENCES) -> tuple[Example, ...]:
    """The sentences of a file."""
    return tuple(
        Example(
            text=row["text"],
            kind=row["class"],
            language=row["language"],
            expected=tuple(row["intents"]),
            is_question=row.get("is_question", False),
            is_negated=row.get("is_negated", False),
            is_later=row.get("later", False),
        )
        for row in json.loads(file.read_text())
    )


def measured(found: Iterable[Example]) -> dict[str, Any]:
    """The figures of some sentences; times in milliseconds, each sentence read once after one warm-up."""
    groups: dict[str, list[bool]] = defaultdict(list)
    wrongs: list[str] = []
    missed: list[str] = []
    times: list[float] = []
    for example in found:
        example.reading()
        began = time.perf_counter()
        reading = example.reading()
        times.append((time.perf_counter() - began) * 1000)
        fits = example.fits(reading)
        for group in (example.kind, f"language {example.language}", *(["later"] if example.is_later else []), "all"):
            groups[group].append(fits)
        wrongs += [f"{example.text!r}: {wrong}" for wrong in example.wrongs(reading)]
        missed += [] if fits else [example.text]
    times.sort()
    return {
        "accuracy": {name: {"right": sum(right), "of": len(right)} for name, right in sorted(groups.items())},
        "unsafe": wrongs,
        "missed": missed,
        "ms": {"p50": _at(times, 0.5), "p95": _at(times, 0.95), "max": _at(times, 1.0)},
    }


def _at(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--json", action="store_true", help="print JSON")
    told = parser.parse_args()
    figures = measured(examples(told.sentences))
    if told.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        for name, count in figures["accuracy"].items():
            print(f"{name:<12} {count['right']:>4} of {count['of']:<4} {count['right'] / count['of']:.1%}")
        print("ms", figures["ms"])
        for line in (*figures["unsafe"], *(f"missed: {text}" for text in figures["missed"])):
            print(line)
    return 1 if figures["unsafe"] else 0


if __name__ == "__main__":
    sys.exit(main())
