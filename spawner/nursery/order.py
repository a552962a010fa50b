"""What Spawner asks the nursery for, and what it is told: one JSON line each, stdin and stdout.

In: `{"run": …, "rung": …, "task": {…}, …}` begins a daughter, `{"kill": run}` ends one. Out: `{"run": …, "pid": …}`
when the program has begun, `{"run": …, "verdict": {…}}` when nothing of it is left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spawner.cage import Ending, Limits, Rung, Task, Verdict

MAX_DETAIL = 500  # characters: a line is written at once only up to PIPE_BUF bytes


@dataclass(frozen=True, slots=True)
class Order:
    """One task for one rung. `user`: the first of the uids that are daughters' own, None for the service's; what the
    nursery hands on has that of this daughter, and in `siblings` how many processes and threads already count for it.

    `interpreter`: the folder that a Python outside of the system's folders needs to be read. `output`: an empty folder.
    """

    run: str
    rung: Rung
    task: Task
    output: Path
    user: int | None = None
    interpreter: Path | None = None
    siblings: int = 0

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps(self, default=_plain).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Kill:
    """A wish to have the run end."""

    run: str

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps({"kill": self.run}).encode() + b"\n"


def handed_on(line: bytes, user: int | None, siblings: int) -> bytes:
    """Spawner's line as the nursery passes it to a warden: with what it adds to it, and not made anew."""
    return b"[" + json.dumps(user).encode() + b", %d, " % siblings + line.strip() + b"]\n"


def read(line: bytes) -> Order | Kill:
    """What Spawner said, or what the nursery handed on."""
    said = json.loads(line)
    if isinstance(said, list):
        user, siblings, said = said
        said.update(user=user, siblings=siblings)
    if "kill" in said:
        return Kill(said["kill"])
    task = said["task"]
    return Order(
        run=said["run"],
        rung=Rung(said["rung"]),
        task=Task(
            argv=tuple(task["argv"]),
            folder=Path(task["folder"]),
            environment=task["environment"],
            network=task["network"],
            limits=Limits(**task["limits"]),
            reads=tuple(map(Path, task["reads"])),
        ),
        output=Path(said["output"]),
        user=said["user"],
        interpreter=Path(said["interpreter"]) if said["interpreter"] else None,
        siblings=said["siblings"],
    )


def _plain(value: object) -> object:
    if isinstance(value, Order | Task | Limits):
        return {name: getattr(value, name) for name in value.__slots__}
    return dict(value) if isinstance(value, Mapping) else str(value)


def started(run: str, pid: int) -> bytes:
    """The line that tells that a program has begun."""
    return json.dumps({"run": run, "pid": pid}).encode() + b"\n"


def ended(run: str, verdict: Verdict) -> bytes:
    """The line that tells how it ended; changed files are not the nursery's business."""
    said: dict[str, Any] = asdict(verdict)
    said.update(detail=verdict.detail[:MAX_DETAIL], changed_files=())
    return json.dumps({"run": run, "verdict": said}).encode() + b"\n"


def verdict_of(said: dict[str, Any]) -> Verdict:
    """The verdict of an `ended` line."""
    return Verdict(**{**said, "kind": Ending(said["kind"]), "changed_files": ()})
