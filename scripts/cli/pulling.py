"""Brings a model here and shows how it gets on."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.contracts.models import LIVE_STATES, DownloadJob, ModelPull
from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed
from scripts.quantities import bytes_in_words
from scripts.terminal import Bar, Terminal

_ASK_EVERY_SEC = 0.25


def pull(door: Door, order: ModelPull, terminal: Terminal, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Start the download and stay with it to its end; Ctrl-C cancels it, what is there is kept for the next try."""
    job = door.pull(order)
    with terminal.bar(job.name, amount=bytes_in_words) as bar:
        try:
            while job.state in LIVE_STATES:
                _show(job, bar)
                wait(_ASK_EVERY_SEC)
                job = door.job(job.job_id)
        except KeyboardInterrupt:
            door.cancel_job(job.job_id)
            raise
    if job.state != "DONE":
        raise CommandFailed(*_why(job))
    terminal.done(job.name, bytes_in_words(job.bytes_total or job.bytes_done))


def _show(job: DownloadJob, bar: Bar) -> None:
    if job.bytes_total and job.bytes_total != bar.total:
        bar.begin(job.bytes_total)
    rate = f"{bytes_in_words(job.rate_bytes_sec)}/s" if job.rate_bytes_sec else ""
    bar.update(job.bytes_done, ", ".join(word for word in (job.phase, rate) if word))


def _why(job: DownloadJob) -> tuple[str, str]:
    if job.error is None:
        return f"{job.name} was not pulled: the job ended as {job.state}.", ""
    return f"{job.name} was not pulled: {job.error.detail}", job.error.hint or ""
