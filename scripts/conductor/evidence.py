"""The folder that a run leaves: a summary for people, every phase for programs, the machine's looks as a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from config.clock import rfc3339
from scripts.conductor.machine import Look
from scripts.conductor.stage import Note


@dataclass(slots=True)
class PhaseResult:
    """How one phase went. `machine` and `services` are its CPU and memory; `failure` is empty where it passed."""

    name: str
    passed: bool
    failure: str = ""
    remedy: str = ""
    waited_sec: float = 0.0
    seconds: float = 0.0
    machine: dict[str, float] = field(default_factory=dict)
    services: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything but the single looks, which have a file of their own."""
        return {
            "phase": self.name,
            "passed": self.passed,
            "failure": self.failure or None,
            "waited_for_cpu_sec": self.waited_sec,
            "seconds": self.seconds,
            "machine": self.machine,
            "services": self.services,
            "notes": [{"what": note.what, **note.facts} for note in self.notes],
        }


class Evidence:
    """Writes `<folder>/<time>_E2E_TEST_CONDUCTOR_v1/`, anew after each phase: a crash leaves what there was."""

    def __init__(self, folder: Path, began: datetime) -> None:
        self.began = began
        self.path = folder / f"{began:%Y%m%dT%H%M%SZ}_E2E_TEST_CONDUCTOR_v1"
        self.path.mkdir(parents=True, exist_ok=True)

    def keep(self, results: Sequence[PhaseResult], planned: Sequence[str]) -> None:
        """Write what is known after these phases of those `planned`."""
        whole = {
            "began": rfc3339(self.began),
            "passed": is_whole(results, planned),
            "planned": list(planned),
            "phases": [result.as_json() for result in results],
        }
        (self.path / "phases.json").write_text(json.dumps(whole, indent=2) + "\n")
        (self.path / "SUMMARY.md").write_text(_summary(self.began, results, planned))
        with (self.path / "machine.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("phase", "at_sec", "cpu_percent", "memory_used_mb"))
            for result in results:
                for look in result.looks:
                    row = (result.name, round(look.at, 2), look.cpu_percent, look.total_mb - look.available_mb)
                    table.writerow(row)


def is_whole(results: Sequence[PhaseResult], planned: Sequence[str]) -> bool:
    """Whether every phase that was planned has passed."""
    return [result.name for result in results if result.passed] == list(planned)


def _summary(began: datetime, results: Sequence[PhaseResult], planned: Sequence[str]) -> str:
    verdict = "passed" if is_whole(results, planned) else "did not pass"
    lines = [
        f"# End-to-end conductor, {rfc3339(began)}: {verdict}",
        "",
        "| phase | result | seconds | waited, s | CPU mean / max, % | memory max, MiB | CPU seconds of services |",
        "|---|---|---|---|---|---|---|",
        *(_row(result) for result in results),
        *(f"| {name} | not begun | | | | | |" for name in planned[len(results) :]),
        "",
        *(
            f"**{result.name}** failed: {result.failure} {result.remedy}".rstrip()
            for result in results
            if result.failure
        ),
        "",
        "`phases.json` holds every step with its facts, `machine.csv` CPU and memory twice a second.",
    ]
    return "\n".join(lines) + "\n"


def _row(result: PhaseResult) -> str:
    machine = result.machine
    cpu = f"{machine['cpu_percent_mean']:g} / {machine['cpu_percent_max']:g}" if machine else ""
    memory = f"{machine['memory_used_mb_max']:.0f}" if machine else ""
    services = ", ".join(f"{name} {taken['cpu_sec']:.2f}" for name, taken in result.services.items())
    verdict = "passed" if result.passed else "**failed**"
    return (
        f"| {result.name} | {verdict} | {result.seconds:.2f} | {result.waited_sec:g} | {cpu} | {memory} | {services} |"
    )
