"""Prints findings."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.doctor.finding import Finding
from scripts.terminal import Terminal

_SUBJECT_WIDTH = 16


def print_findings(terminal: Terminal, findings: Iterable[Finding]) -> None:
    """A line for each finding, and its remedy beneath where it has one."""
    mark = {"ok": terminal.good("ok  "), "warning": terminal.uneasy("note"), "failure": terminal.bad("FAIL")}
    for finding in findings:
        terminal.say(f"  {mark[finding.state]} {finding.subject:<{_SUBJECT_WIDTH}} {finding.words}")
        if finding.remedy:
            terminal.say(f"       {'':<{_SUBJECT_WIDTH}} {terminal.dim('→')} {finding.remedy}")
