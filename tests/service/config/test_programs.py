"""Programs that behave and programs that do not: real processes, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import uvloop

from config.errors import NotFound, Unavailable
from config.programs import KEPT_ERRORS_BYTES, ProgramResult, program_named, run_program, scrubbed_environment
from tests.support.eventually import eventually

LIMIT = 100_000


async def python(
    code: str, *arguments: str, stdin: bytes | None = None, timeout_sec: float = 20, limit: int = LIMIT
) -> ProgramResult:
    argv = [sys.executable, "-I", "-c", code, *arguments]
    environment = scrubbed_environment()
    return await run_program(argv, stdin=stdin, timeout_sec=timeout_sec, output_limit=limit, environment=environment)


async def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_what_it_says_and_how_it_ends_come_back() -> None:
    result = await python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert [result.timed_out, result.truncated, result.succeeded] == [False, False, False]


async def test_unicode_goes_in_and_comes_out_by_argument_and_by_stdin() -> None:
    code = "import sys; sys.stdout.buffer.write(sys.argv[1].encode() + sys.stdin.buffer.read())"
    result = await python(code, "ñandú 🦙 \n --help", stdin="日本".encode())
    assert result.succeeded
    assert result.stdout.decode() == "ñandú 🦙 \n --help日本"


async def test_a_large_stdin_passes_whole_while_the_program_answers() -> None:
    body = os.urandom(3 << 20)
    echo = "import sys,shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    assert (await python(echo, stdin=body, limit=4 << 20)).stdout == body


def test_on_the_loop_of_the_services_programs_run_just_so() -> None:
    """Services run on uvloop, whose transports are asyncio's in all but name."""
    uvloop.run(test_what_it_says_and_how_it_ends_come_back())
    uvloop.run(test_a_large_stdin_passes_whole_while_the_program_answers())
    uvloop.run(test_a_program_that_hangs_is_ended_although_it_ignores_polite_signals())


async def test_a_program_that_does_not_read_its_stdin_is_no_failure() -> None:
    assert (await python("print(1)", stdin=b"x" * (1 << 20))).stdout == b"1\n"


async def test_a_program_that_hangs_is_ended_although_it_ignores_polite_signals() -> None:
    code = "import os,signal,sys,time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += "print(os.getpid(), flush=True); time.sleep(600)"
    result = await python(code, timeout_sec=1)
    assert result.timed_out
    assert result.code < 0
    await eventually(lambda: is_gone(int(result.stdout)), bool)


async def test_a_flood_is_cut_and_its_program_ended() -> None:
    result = await python("import os\nprint(os.getpid())\nwhile True: print('y' * 1000)")
    assert result.truncated
    assert not result.timed_out
    assert len(result.stdout) == LIMIT
    await eventually(lambda: is_gone(int(result.stdout.split()[0])), bool)


async def test_of_a_flood_of_errors_the_end_is_kept() -> None:
    code = "import sys\nfor n in range(100_000): print('note', n, file=sys.stderr)"
    result = await python(code)
    assert result.succeeded
    assert len(result.stderr) == KEPT_ERRORS_BYTES
    assert result.stderr.endswith(b"note 99999\n")


DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("lives_on", ["0.3", "600"])
async def test_a_grandchild_in_a_session_of_its_own_is_not_left_behind(lives_on: str) -> None:
    result = await python(DOUBLE_FORK, lives_on, timeout_sec=2)
    assert result.timed_out == (lives_on == "600")
    await eventually(lambda: is_gone(int(result.stdout)), bool)


async def test_whoever_is_cancelled_takes_the_program_along(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = "import os,sys,time; open(sys.argv[1], 'w').write(f'{os.getpid()}\\n'); time.sleep(600)"
    running = asyncio.create_task(python(code, str(note)))

    async def said() -> str:
        return note.read_text() if note.exists() else ""

    pid = int(await eventually(said, bool))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: is_gone(pid), bool)


async def test_a_missing_program_and_one_that_is_none_are_told_apart(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF no")
    broken.chmod(0o755)
    for argv, error in (([str(tmp_path / "absent")], NotFound), ([str(broken)], Unavailable)):
        with pytest.raises(error):
            await run_program(argv, timeout_sec=5, output_limit=10, environment={})


async def test_it_gets_an_empty_folder_and_no_token_of_ours() -> None:
    code = "import os,json; print(json.dumps([os.listdir(), sorted(os.environ)]))"
    result = await python(code)
    listed, names = json.loads(result.stdout)
    assert listed == []
    assert "PATH" in names
    assert [name for name in names if name.startswith("VX11_")] == ["VX11_RUN_MARK"]


def test_programs_are_found_on_a_path(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert program_named("tool", str(tmp_path)) is None
    (tmp_path / "tool").chmod(0o755)
    assert program_named("tool", str(tmp_path)) == tmp_path / "tool"
