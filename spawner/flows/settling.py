"""How a try ended, written into the rows of its attempt, daughter and job, and into those of the job's family.

Every end comes through here: a verdict of the cage, a kill, a TTL that ran out, an end that nobody saw because spawner
itself had died. One unit of work each, so that rows never disagree. Whoever wants a running try to end says so in its
job's row, in the unit of work that promises it: whatever its verdict, and whoever writes it, the wish is read there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from config.contracts.spawning import LIVE_STATUSES, JobStatus
from config.db_schema.base import new_id
from config.db_schema.spawner import DaughterAttempt, DaughterRow, DaughterTask
from spawner import lives, store
from spawner.flows.desk import Desk, brief
from spawner.lives import Fate, Wish
from spawner.orders import disk_mb_of, most_of
from spawner.plain import plain, plain_json
from spawner.retries import Mutated, Way, backoff_sec, mutated
from spawner.turns import Means


@dataclass(frozen=True, slots=True)
class End:
    """How a try ended, in the words of the table. `because` is a sentence; `changed_more` counts the changed files that
    the list does not hold; `provider` who failed a tool."""

    kind: str
    because: str = ""
    exit_code: int | None = None
    signal: int | None = None
    cpu_sec: float | None = None
    wall_sec: float | None = None
    max_rss_mb: float | None = None
    output_bytes: int = 0
    output_truncated: bool = False
    changed_files: list[dict[str, str]] | None = None
    changed_more: int = 0
    result: dict[str, Any] | None = None
    provider: str | None = None


class Settling:
    """Writes ends. `luck` gives numbers from 0 to 1 for the jitter of waits."""

    def __init__(self, desk: Desk, luck: random.Random | None = None) -> None:
        self._desk = desk
        self._luck = luck or random.Random()  # noqa: S311  # spreads waits, guards nothing

    def attempt_ended(self, session: Session, attempt_id: str, end: End) -> list[str]:
        """Write the end of a try; the running jobs that must end with it, because they belong to its job."""
        attempt = store.attempt(session, attempt_id)
        if attempt is None or attempt.status != "running":
            return []
        job = store.job(session, attempt.spawn_id)
        assert job is not None, "a job is never deleted while it has a running attempt"
        end = replace(end, because=plain(end.because), result=plain_json(end.result))
        fate = self._fate_of(job, end)
        self._write_attempt(attempt, end, fate, job.wish_because)
        end = as_wished(job, end, fate)
        job.wish = job.wish_because = None
        job.exit_code = end.exit_code
        if fate.retries:
            self._retry(session, job, end)
            return []
        return self._end(session, job, fate, end)

    def _fate_of(self, job: DaughterTask, end: End) -> Fate:
        return lives.fate(
            end.kind,
            end.exit_code,
            wish=None if job.wish is None else Wish(job.wish),
            is_over=self._desk.now >= job.expires_at,
            tries=job.tries,
            max_retries=job.max_retries,
            auto_retry=job.auto_retry,
        )

    def idle_ended(self, session: Session, job: DaughterTask, wish: Wish, end: End) -> list[str]:
        """End a job that no process works on: it waits, or waits for its parts."""
        return self._end(session, job, lives.wished(wish), end)

    def _write_attempt(self, attempt: DaughterAttempt, end: End, fate: Fate, wished: str | None) -> None:
        attempt.status, attempt.finished_at = fate.attempt, self._desk.now
        attempt.kind, attempt.exit_code, attempt.signal = end.kind, end.exit_code, end.signal
        attempt.cpu_sec, attempt.wall_sec, attempt.max_rss_mb = end.cpu_sec, end.wall_sec, end.max_rss_mb
        attempt.output_bytes, attempt.output_truncated = end.output_bytes, end.output_truncated
        attempt.changed_more = end.changed_more
        attempt.changed_files, attempt.detail = end.changed_files, end.because or wished

    def _retry(self, session: Session, job: DaughterTask, end: End) -> None:
        change = mutated(
            way_of(job),
            end.kind,
            end.because or said_of(end),
            alternatives=job.alternatives,
            most=most_of(job.ttl_seconds, self._desk.settings, self._desk.together_mb),
            provider=end.provider,
        )
        wait = backoff_sec(job.tries, self._luck.random(), unit_sec=self._desk.settings.backoff_sec)
        job.status, job.phase = "PENDING", lives.PHASE_BACKOFF
        job.not_before = self._desk.now + timedelta(seconds=wait)
        job.error = end.because or said_of(end)
        go_on(session, job, change, self._desk)
        self._desk.tell(session, job, "job.retrying", mutation=_short(change), wait_sec=round(wait, 2))

    def _end(self, session: Session, job: DaughterTask, fate: Fate, end: End) -> list[str]:
        daughter = store.daughter_of(session, job.spawn_id)
        daughter.status, daughter.finished_at = fate.daughter, self._desk.now
        job.result = end.result if end.result is not None else job.result
        job.error = None if fate.job == "DONE" else end.because or said_of(end)
        if fate.job != "DONE":
            return self._close(session, job, fate.job, by_hand=fate.by_hand)
        return self._close_whole(session, job)

    def _close_whole(self, session: Session, job: DaughterTask) -> list[str]:
        """A job whose own work is done ends with the last of its parts, and well only if all of them did."""
        whole = lives.whole_of([part.status for part in store.parts_of(session, job.spawn_id)])
        if whole is None:
            job.status, job.phase = "RUNNING", lives.PHASE_SUBTASKS
            self._desk.tell(session, job, "job.progress")
            return []
        job.error = None if whole == "DONE" else "Not all of its subtasks succeeded."
        return self._close(session, job, whole)

    def _close(self, session: Session, job: DaughterTask, status: JobStatus, *, by_hand: bool = False) -> list[str]:
        job.status, job.phase = status, lives.PHASE_BY_HAND if by_hand else lives.PHASE_ENDED
        job.finished_at, job.not_before = self._desk.now, None
        job.progress = 1.0 if status == "DONE" else job.progress
        daughter = store.daughter_of(session, job.spawn_id)
        if daughter.finished_at is None:  # of a job that is only the sum of its parts
            daughter.status, daughter.finished_at = lives.daughter_at_end(status), self._desk.now
        self._desk.tell(session, job)
        orphans = [] if status == "DONE" or by_hand else self._end_parts(session, job)
        return [*orphans, *self._tell_parent(session, job)]

    def _end_parts(self, session: Session, job: DaughterTask) -> list[str]:
        """A whole that failed needs its parts no more: those that wait end here, those that run are named."""
        running: list[str] = []
        for part in store.parts_of(session, job.spawn_id):
            running += self.ended(session, part, Wish.KILL, f"{job.spawn_id}, of which it is a part, ended.")
        return running

    def _tell_parent(self, session: Session, job: DaughterTask) -> list[str]:
        if job.part is None or job.parent_task_id is None:
            return []
        parent = store.job(session, job.parent_task_id)
        if parent is None or parent.phase != lives.PHASE_SUBTASKS:
            return []
        return self._close_whole(session, parent)

    def ended(self, session: Session, job: DaughterTask, wish: Wish, because: str) -> list[str]:
        """End a job that lives. One that waits ends here; one that runs is told in its row how to end, where the first
        word holds, and is named, with others that must end with it: whoever writes these rows strikes them after."""
        if job.status not in LIVE_STATUSES:
            return []
        if not is_running(job):
            return self.idle_ended(session, job, wish, End("killed", because))
        if job.wish is None:
            job.wish, job.wish_because = wish.value, because
        return [job.spawn_id]

    def family_ended(self, session: Session, family: list[DaughterTask], because: str) -> list[str]:
        """Kill these jobs: those that wait end here, the running ones are named."""
        running: list[str] = []
        for job in family:
            running += self.ended(session, job, Wish.KILL, because)
        return list(dict.fromkeys(running))


def is_running(job: DaughterTask) -> bool:
    """Whether a try of it runs."""
    return job.status == "RUNNING" and job.phase == lives.PHASE_RUNNING


def as_wished(job: DaughterTask, end: End, fate: Fate) -> End:
    """An end in the words of whoever wished for it, if that is what became of it; what its owner said came of it is not
    overwritten by what a tool answered."""
    if job.wish is None or fate != lives.wished(Wish(job.wish)):
        return end
    return replace(end, because=job.wish_because or end.because, result=None)


def way_of(job: DaughterTask) -> Way:
    """How the job's next try would go about it."""
    limits: dict[str, float] = job.limits
    return Way(job.task_type, job.code or "", limits, job.scale, job.alternative, tuple(job.avoid))


def go_on(session: Session, job: DaughterTask, change: Mutated, desk: Desk) -> None:
    """Have the job go about it in the changed way: the same daughter again, or a successor."""
    way = change.way
    job.task_type, job.code, job.limits = way.task_type, way.code, dict(way.limits)
    job.scale, job.alternative, job.avoid = way.scale, way.alternative, list(way.avoid)
    current = store.daughter_of(session, job.spawn_id)
    if not change.is_another_task:
        current.status, current.finished_at = "restarting", None
        current.attempt_id, current.mutation = new_id("attempt"), change.as_row
        return
    current.status, current.finished_at = "mutated", desk.now
    session.add(born(job, desk, current, change))


def born(job: DaughterTask, desk: Desk, predecessor: DaughterRow | None, change: Mutated | None) -> DaughterRow:
    """A new life of a job."""
    return DaughterRow(
        daughter_id=new_id("daughter"),
        spawn_id=job.spawn_id,
        generation=1 if predecessor is None else predecessor.generation + 1,
        predecessor_id=None if predecessor is None else predecessor.daughter_id,
        attempt_id=new_id("attempt"),
        status="spawned",
        mutation=None if change is None else change.as_row,
        created_at=desk.now,
        finished_at=None,
    )


def said_of(end: End) -> str:
    """An end in a few words, where nobody found better ones."""
    if end.kind == "exited":
        return f"It ended with the exit code {end.exit_code}."
    if end.kind == "signal":
        return f"It ended by signal {end.signal}."
    return f"It was ended: {end.kind}."


def no_space(job: DaughterTask, means: Means) -> End:
    """A try that found no room on the disk, and what makes some."""
    left, of_user = max(0.0, means.disk_mb), max(0.0, means.disk_mb_of.get(job.user, 0.0))
    need = disk_mb_of(job.limits, copies=job.dry_run)
    return End(
        "no_space",
        f"It may leave {need:.0f} MiB on the disk; {of_user:.0f} are left for {job.user}, {left:.0f} for all. Ask for "
        "less (limits.disk_mb), have a small job delete files of a workspace, or allow more: VX11_SPAWNER_STORED_MB, "
        "VX11_SPAWNER_STORED_MB_PER_USER, VX11_SPAWNER_FREE_MB.",
    )


def no_memory(job: DaughterTask, means: Means) -> End:
    """A try that asks for more memory than all daughters have; it was taken on where they had more."""
    asks = job.limits["memory_mb"]
    because = (
        f"It asks for {asks:.0f} MiB of memory; all daughters have {means.memory_mb:.0f} (VX11_SPAWNER_TOGETHER_MB)."
    )
    return End("refused", because)


def _short(change: Mutated) -> dict[str, Any]:
    """A mutation as events carry it: without texts that may be long."""
    return {"kind": change.kind, "because": brief(change.because, 600)}
