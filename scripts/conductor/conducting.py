"""Plays the phases in order, watches the machine meanwhile, and leaves the fleet as it was."""

from __future__ import annotations

import time
from collections.abc import Sequence

from config.contracts.status import FleetStatus
from scripts.cli.failure import CommandFailed
from scripts.conductor.evidence import Evidence, PhaseResult, is_whole
from scripts.conductor.machine import Looks, Machine
from scripts.conductor.phases import PHASES, Phase
from scripts.conductor.stage import Stage
from scripts.terminal import Terminal


class Conductor:
    """One run. Before each phase it waits until the CPU is at most `max_cpu` percent, `patience_sec` at most."""

    def __init__(
        self, stage: Stage, evidence: Evidence, machine: Machine, *, max_cpu: float, patience_sec: float
    ) -> None:
        self._stage = stage
        self._evidence = evidence
        self._machine = machine
        self._max_cpu = max_cpu
        self._patience_sec = patience_sec

    def play(self, terminal: Terminal, phases: Sequence[tuple[str, Phase]] = PHASES) -> bool:
        """Whether all phases passed; the first that does not is the last that is begun."""
        planned = [name for name, _ in phases]
        results: list[PhaseResult] = []
        try:
            for name, phase in phases:
                results.append(self._perform(name, phase))
                self._evidence.keep(results, planned)
                _tell(results[-1], terminal)
                if not results[-1].passed:
                    break
        finally:
            self._stage.tidy()
        terminal.say(f"Evidence: {self._evidence.path}")
        return is_whole(results, planned)

    def _perform(self, name: str, phase: Phase) -> PhaseResult:
        self._stage.notes = []
        result, looks = PhaseResult(name, passed=False, notes=self._stage.notes), Looks()
        try:
            result.waited_sec = self._machine.settle(self._max_cpu, self._patience_sec)
            before = self._stage.settled_status()
            with self._machine.watched(looks):
                began = time.monotonic()
                try:
                    phase(self._stage)
                finally:
                    result.seconds = round(time.monotonic() - began, 3)
            result.services = taken(before, self._stage.door.status())
            result.passed = True
        except CommandFailed as failed:
            result.failure, result.remedy = failed.sentence, failed.remedy
        result.looks, result.machine = looks.seen, looks.in_numbers()
        return result


def taken(before: FleetStatus, after: FleetStatus) -> dict[str, dict[str, float]]:
    """For each service that was measured at the end: the CPU seconds it used in between, and its memory now."""
    earlier = {one.name: one.figures.usage.cpu_sec for one in before.services if one.figures.usage}
    found = {}
    for one in after.services:
        if one.figures.usage is None:
            continue
        cpu_sec = one.figures.usage.cpu_sec
        since = earlier.get(one.name, 0.0)
        used = cpu_sec - since if cpu_sec >= since else cpu_sec  # below: it has begun anew
        found[one.name] = {"cpu_sec": round(used, 3), "memory_mb": one.figures.usage.memory_mb}
    return found


def _tell(result: PhaseResult, terminal: Terminal) -> None:
    if not result.passed:
        terminal.say(f"  {terminal.bad('FAIL')} {result.name:<12} {result.failure} {result.remedy}".rstrip())
        return
    numbers = result.machine
    words = f"{result.seconds:.2f} s, CPU {numbers['cpu_percent_mean']:g} %, memory {numbers['memory_used_mb_max']} MiB"
    waited = f", waited {result.waited_sec:g} s for the CPU" if result.waited_sec else ""
    terminal.say(f"  {terminal.good('ok')}   {result.name:<12} {words}{waited}")
