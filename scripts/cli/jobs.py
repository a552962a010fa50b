"""Daughter tasks: run one and watch what it says, see how the others stand, end them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from config.auth import EVERYBODY
from config.contracts.spawning import Job, JobDetail, Limits, SpawnOrder
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.set_defaults(user=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="your latest tasks (what stands for no verb)")
    whose = listing.add_mutually_exclusive_group()
    whose.add_argument("--user", metavar="NAME", help="those of this user; that you looked is on record")
    whose.add_argument("--all", dest="user", action="store_const", const=EVERYBODY, help="everybody's, on record")
    running = verbs.add_parser("run", help="run Python, or a line of shell, apart from everything else")
    running.add_argument("code", help="the Python, or with --shell the line; `-f` for a file")
    running.add_argument("--shell", action="store_true", help="a line for the shell instead of Python")
    running.add_argument("-f", "--file", action="store_true", help="CODE names a file that holds it")
    running.add_argument("--ttl", type=int, default=300, metavar="SEC", help="its whole life, retries included (300)")
    running.add_argument("--retries", type=int, default=0, metavar="N", help="tries after the first (0)")
    running.add_argument("--memory", type=int, metavar="MB", help="memory it may take")
    running.add_argument("--workspace", metavar="NAME", help="a folder of yours that outlives it")
    running.add_argument("--dry-run", action="store_true", help="work on a copy, and show what would change")
    running.add_argument("-d", "--detach", action="store_true", help="do not wait for it")
    for verb, words in (
        ("show", "how a task stands, with all its tries"),
        ("follow", "what it says, as it says it"),
        ("kill", "end it and all that it started"),
    ):
        verbs.add_parser(verb, help=words).add_argument("id", metavar="SPAWN-ID")


def run(options: Namespace, context: Context) -> int:
    """Do it; for `run` and `follow` the exit code says whether the task ended well."""
    with open_door(context.settings) as door:
        match options.verb:
            case "run":
                return _run(door, order_of(options, context.called_from), options.detach, context)
            case "follow":
                return _follow(door, options.id, context)
            case "show":
                context.terminal.say("\n".join(in_detail(door.daughter(options.id))))
            case "kill":
                killed = door.kill_daughter(options.id)
                context.terminal.say(f"{killed.spawn_id} is {killed.status}")
            case _:
                _list(door.daughters(options.user), context)
    return 0


def order_of(options: Namespace, called_from: Path) -> SpawnOrder:
    """What to ask of spawner; a file is looked for where the command was typed."""
    code: str = options.code
    if options.file:
        try:
            code = (called_from / code).read_text()
        except OSError as error:
            raise CommandFailed(f"{code} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"{code} is not text.") from error
    if not code.strip():
        raise CommandFailed("There is nothing to run.", "Try: ./vx11 jobs run 'print(6 * 7)'")
    return SpawnOrder(
        name=Path(options.code).name[:128] if options.file else code.strip().splitlines()[0][:60],
        code=code,
        task_type="shell" if options.shell else "python",
        ttl_seconds=options.ttl,
        max_retries=options.retries,
        limits=Limits(memory_mb=options.memory),
        workspace=options.workspace,
        dry_run=options.dry_run,
    )


def _run(door: Door, order: SpawnOrder, detach: bool, context: Context) -> int:
    spawned = door.spawn(order)
    context.remarks.say(f"{spawned.spawn_id} ({spawned.isolation})")
    return 0 if detach else _follow(door, spawned.spawn_id, context)


def _follow(door: Door, spawn_id: str, context: Context) -> int:
    for said in door.said_by(spawn_id):
        if said.omitted_bytes:
            context.remarks.say(f"[{said.omitted_bytes} bytes were not kept]")
        context.terminal.write(said.text)
    job = door.daughter(spawn_id)
    for line in in_detail(job) if job.status != "DONE" or job.dry_run else [in_words(job)]:
        context.remarks.say(line)
    return 0 if job.status == "DONE" else 1


def _list(jobs: list[Job], context: Context) -> None:
    if not jobs:
        context.terminal.say("No task has run yet. Try: ./vx11 jobs run 'print(6 * 7)'")
    for job in jobs:
        context.terminal.say(in_words(job))


def in_words(job: Job) -> str:
    """One line on a task."""
    stands = job.status if job.status != "PENDING" or job.phase == "queued" else f"{job.status} ({job.phase})"
    tries = f"{job.tries} {'try' if job.tries == 1 else 'tries'}"
    return f"{job.spawn_id}  {stands:<18} {job.task_type:<7} {tries:<8} {job.isolation or '-':<9} {_shown(job.name)}"


def in_detail(job: JobDetail) -> list[str]:
    """A task with its tries, what each did otherwise, and the files that a dry run would change."""
    lines = [in_words(job)]
    for attempt in job.attempts:
        took = "" if attempt.wall_sec is None else f", {attempt.wall_sec:.1f} s"
        code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
        lines.append(f"  try {attempt.number}: {attempt.status} ({attempt.kind or 'running'}{code}{took})")
        if attempt.mutation is not None:
            changes = ", ".join(
                f"{name} {before} → {after}" for name, (before, after) in attempt.mutation.changes.items()
            )
            lines.append(f"    {attempt.mutation.kind}{': ' if changes else ''}{changes}")
    lines += [f"  {file.change}: {_shown(file.path)}" for file in job.changed_files or []]
    lines += [f"  and {job.changed_more} more"] if job.changed_more else []
    return [*lines, f"  {_shown(job.error)}"] if job.error else lines


def _shown(text: str) -> str:
    """What a task named or said, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
