"""Actions on daughter tasks. Resource: `tasks`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.auth import Scope
from config.contracts.spawning import Code, SpawnId
from madre.actions.action import Action, Arguments, Domain, Heard, Nothing, Risk, StepType


class RunCode(Arguments):
    """A program, the life of the task in seconds, and what it may take; no network unless granted.

    `dry_run` works on a copy and shows the files that would change.
    """

    code: Annotated[Code, Heard.CODE]
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400), Heard.DURATION] = 300
    memory_mb: Annotated[int | None, Field(ge=16), Heard.MEMORY] = None
    max_retries: Annotated[int, Field(ge=0, le=10), Heard.COUNT] = 0
    network: Annotated[bool, Heard.FLAG] = False
    dry_run: Annotated[bool, Heard.FLAG] = False


class OneTask(Arguments):
    """Which task."""

    task_id: Annotated[SpawnId, Heard.ID]


ROWS = (
    Action(
        "task.run_python",
        Domain.TASK,
        "Run a Python program in a daughter process",
        RunCode,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.SPAWNER_REQUEST,
        owner="spawner",
        reads=("tasks",),
        writes=("tasks",),
        reversible=False,
        undo="task.kill",
        says=("run python", "run program", "run {code}", "start python"),
    ),
    Action(
        "task.run_shell",
        Domain.TASK,
        "Run a shell command in a daughter process",
        RunCode,
        Scope.JOBS_WRITE,
        Risk.MED,
        StepType.SPAWNER_REQUEST,
        owner="spawner",
        reads=("tasks",),
        writes=("tasks",),
        reversible=False,
        undo="task.kill",
        says=("run command", "run shell", "run command shell", "start command"),
    ),
    Action(
        "task.list",
        Domain.TASK,
        "List daughter tasks",
        Nothing,
        Scope.JOBS_READ,
        Risk.LOW,
        StepType.SPAWNER_REQUEST,
        owner="spawner",
        reads=("tasks",),
        says=("show task", "status task"),
    ),
    Action(
        "task.show",
        Domain.TASK,
        "Show one daughter task",
        OneTask,
        Scope.JOBS_READ,
        Risk.LOW,
        StepType.SPAWNER_REQUEST,
        owner="spawner",
        reads=("tasks",),
        says=("show task {task_id}", "status task {task_id}", "show {task_id}", "status {task_id}"),
    ),
    Action(
        "task.kill",
        Domain.TASK,
        "End a daughter task and all its processes",
        OneTask,
        Scope.JOBS_WRITE,
        Risk.HIGH,
        StepType.SPAWNER_REQUEST,
        owner="spawner",
        reads=("tasks",),
        writes=("tasks",),
        reversible=False,
        says=(
            "kill task",
            "stop task",
            "cancel task",
            "delete task",
            "kill {task_id}",
            "stop {task_id}",
            "cancel {task_id}",
        ),
    ),
)
