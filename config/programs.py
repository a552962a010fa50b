"""Running somebody else's program: by an argv template, never a shell; bounded in time and output; nothing left behind.

A template is a list of arguments in which `{word}` stands for a value. A value fills the whole or a part of one
argument and is never split, so no text of a user becomes a second argument or an option.

What a program starts is ended with it: its session (`killpg`), and whatever left that session but still carries the
mark in its environment. Only a process that clears its environment as well gets away.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from config.errors import Invalid, NotFound, TooLarge, Unavailable
from config.lifeline import die_with_parent
from config.settings import inherited_environment

MAX_ARGUMENT_BYTES: Final = 131_071  # Linux: MAX_ARG_STRLEN, the zero at the end not counted
KEPT_ERRORS_BYTES: Final = 64 << 10
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_MARK: Final = "VX11_RUN_MARK"
_LAST_WORDS_SEC: Final = 1.0  # for what is still in the pipes when the program has ended
# fmt: off
_ALWAYS: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)
# fmt: on
MODEL_OPTIONS: Final = "{model_options}"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a run ended; `code` is negative where a signal ended it (ours too), as subprocess has it.

    `stdout` is its beginning, up to the limit; `stderr` its end, up to KEPT_ERRORS_BYTES. `truncated`: the program said
    more than the limit and was ended for it. `timed_out`: it was ended for taking too long.
    """

    code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    truncated: bool
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether it came to its own end and found all well."""
        return self.code == 0 and not self.timed_out and not self.truncated


def argv_of(template: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The arguments that `template` stands for with these values.

    An argument that would begin with `-` only because its value does gets a space before it, so that no value can
    become an option. Invalid for a placeholder without value and for text no argument can hold; TooLarge for one that
    is longer than the kernel takes.
    """
    return [_argument(part, values) for part in template]


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """What to run, and what to write to its stdin."""

    argv: list[str]
    stdin: bytes | None


def call_of(
    path: str, template: Sequence[str], model_options: Sequence[str], *, prompt: str, model: str | None
) -> ProgramCall:
    """How to put `prompt` to a program of the table `cli_providers` (its columns path, argv, model_argv).

    The argument `{model_options}` stands for `model_options` where a model is named, and for nothing where none is.
    A template without `{prompt}` gets the prompt on stdin, where neither length nor a leading `-` matters.
    """
    spread = [
        one for part in template[1:] for one in ((model_options if model else ()) if part == MODEL_OPTIONS else (part,))
    ]
    values = {"prompt": prompt, **({"model": model} if model else {})}
    on_stdin = "prompt" not in placeholders_of(template)
    return ProgramCall([path, *argv_of(spread, values)], prompt.encode("utf-8", "replace") if on_stdin else None)


def placeholders_of(template: Iterable[str]) -> frozenset[str]:
    """The words of a template that want a value."""
    return frozenset(word for part in template for word in _PLACEHOLDER.findall(part))


def _argument(part: str, values: Mapping[str, str]) -> str:
    try:
        filled = _PLACEHOLDER.sub(lambda match: values[match[1]], part)
    except KeyError as missing:
        raise Invalid(f"The program's template wants a value for {missing.args[0]!r}.") from None
    if filled.startswith("-") and not part.startswith("-"):
        filled = f" {filled}"
    if "\x00" in filled:
        raise Invalid("A program's argument cannot hold a null character.")
    try:
        size = len(filled.encode())
    except UnicodeEncodeError:
        raise Invalid("A program's argument must be valid Unicode text.") from None
    if size > MAX_ARGUMENT_BYTES:
        raise TooLarge(
            f"The text has {size} bytes; a program's argument takes {MAX_ARGUMENT_BYTES}.",
            extra={"limit_bytes": MAX_ARGUMENT_BYTES},
        )
    return filled


def scrubbed_environment(also: Iterable[str] = ()) -> dict[str, str]:
    """What a program gets of our environment: what every program needs, and the variables named in `also`.

    No variable of VX11 itself is ever handed on: its tokens are nobody's business.
    """
    inherited = inherited_environment()
    names = [name for name in (*_ALWAYS, *also) if name in inherited and not name.startswith("VX11_")]
    return {name: inherited[name] for name in names} | {"TERM": "dumb", "NO_COLOR": "1"}


def program_named(name: str, path: str | None = None) -> Path | None:
    """Where the program is, looked for on `path` (default: our PATH); an absolute name stands for itself."""
    found = shutil.which(name, path=inherited_environment().get("PATH") if path is None else path)
    return Path(found).absolute() if found else None


async def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    timeout_sec: float,
    output_limit: int,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> ProgramResult:
    """Run a program to its end, in `folder` (default: an empty one, removed afterwards).

    `environment` is all it gets; see `scrubbed_environment`. NotFound if there is no such program, Unavailable if it
    cannot be started. When the caller is cancelled the program is ended.
    """
    mark = secrets.token_hex(16)
    began = time.monotonic()
    with _folder(folder) as place:
        run = await _start(argv, {**environment, _MARK: mark}, place, stdin, output_limit)
        timed_out = False
        try:
            async with asyncio.timeout(timeout_sec):
                await run.over.wait()
        except TimeoutError:
            timed_out = True
        finally:
            await _end(run, mark)
    return ProgramResult(
        code=run.transport.get_returncode() or 0,
        stdout=bytes(run.output[:output_limit]),
        stderr=bytes(run.errors),
        timed_out=timed_out,
        truncated=run.flooded,
        seconds=time.monotonic() - began,
    )


class _Run(asyncio.SubprocessProtocol):
    """One program at work. `over`: it ended, or said more than it may.

    A protocol instead of asyncio's `Process`, whose `wait()` also waits until every heir of the pipes has closed them:
    a program that leaves a grandchild behind would be waited for without end.
    """

    transport: asyncio.SubprocessTransport

    def __init__(self, output_limit: int) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self.flooded = False
        self.over, self.ended, self.silent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._limit = output_limit
        self._open = {1, 2}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self.transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is one, but does not inherit from it

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the beginning of the output and the end of the errors."""
        if fd == 2:
            self.errors += data
            del self.errors[:-KEPT_ERRORS_BYTES]
        elif len(self.output) <= self._limit:
            self.output += data
            if len(self.output) > self._limit:
                self.flooded = True
                self.over.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that a pipe is empty for good."""
        self._open.discard(fd)
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        """Note that the program itself has ended, whoever still holds its pipes."""
        self.ended.set()
        self.over.set()


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: bytes | None, output_limit: int
) -> _Run:
    try:
        _, run = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Run(output_limit),
            *argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except FileNotFoundError:
        raise NotFound(f"There is no program {Path(argv[0]).name!r} here.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unavailable(f"The program {Path(argv[0]).name!r} cannot be started: {why}.") from error
    if stdin is not None:
        pipe = cast(asyncio.WriteTransport, run.transport.get_pipe_transport(0))
        pipe.write(stdin)
        pipe.write_eof()
    return run


async def _end(run: _Run, mark: str) -> None:
    """End what is left of a run, take its last words, let go of its pipes."""
    with suppress(ProcessLookupError):
        os.killpg(run.transport.get_pid(), signal.SIGKILL)
    _kill_marked(f"{_MARK}={mark}".encode())
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_SEC):
            await run.ended.wait()
            if not run.flooded:
                await run.silent.wait()
    run.transport.close()


def _kill_marked(mark: bytes) -> None:
    """Kill every process of ours whose environment holds the mark, race-free by its descriptor (Linux)."""
    for pid in _pids():
        with suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\x00"):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def _pids() -> Iterator[int]:
    with suppress(OSError):
        yield from (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="vx11-run-", ignore_cleanup_errors=True) as made:
        yield Path(made)
