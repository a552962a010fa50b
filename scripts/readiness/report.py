"""The findings as a page: what was looked at, how it is, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from config.clock import rfc3339
from scripts.doctor.finding import Finding

Sections = Mapping[str, Sequence[Finding]]
_WORD = {"ok": "ok", "warning": "note", "failure": "**FAIL**"}


def is_ready(sections: Sections) -> bool:
    """Whether nothing forbids production; notes do not."""
    return not any(finding.fatal for findings in sections.values() for finding in findings)


def page(sections: Sections, now: datetime) -> str:
    """The report, Markdown."""
    every = [finding for findings in sections.values() for finding in findings]
    failed, noted = (sum(finding.state == state for finding in every) for state in ("failure", "warning"))
    verdict = "ready for production" if is_ready(sections) else "not ready for production"
    lines = [
        "# Production readiness",
        "",
        f"{rfc3339(now)}: **{verdict}**. {len(every)} findings, {failed} failures, {noted} notes.",
    ]
    for title, findings in sections.items():
        lines += ["", f"## {title}", "", "| looked at | result | found | to do |", "|---|---|---|---|"]
        lines += [_row(finding) for finding in findings]
    return "\n".join(lines) + "\n"


def write(sections: Sections, now: datetime, file: Path) -> None:
    """Write the page to `file`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(sections, now))


def _row(finding: Finding) -> str:
    cells = (finding.subject, _WORD[finding.state], finding.words, finding.remedy)
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
