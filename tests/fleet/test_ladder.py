"""Which rung is chosen, on this machine and on lesser ones: the kernel's calls are taken away by a filter."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import struct
import sys
from pathlib import Path

import pytest

from spawner.adapters.ladder import best_cage, interpreter_for, own_user, untried
from spawner.adapters.nursery import COMMAND, Nursery
from spawner.cage import Ending, Limits, Promise, Rung, Task, argv_of
from spawner.nursery import kernel, sandlocked
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
LANDLOCK, PIDFD_GETFD = 444, 438
# A filter of calls is for ever, so a lesser machine is a process of its own.
LESSER = """
import asyncio, json, sys
from spawner.adapters.ladder import STRONGEST, best_cage
from spawner.nursery import kernel

async def main():
    cage = await best_cage(rungs=STRONGEST)
    level = cage.level
    await cage.close()
    print(json.dumps([level.rung, level.is_fit_for_untrusted, level.open_promises, level.findings]))

if sys.argv[1]:
    kernel.gain_nothing_by_exec()
    kernel.filter_system_calls(bytes.fromhex(sys.argv[1]))
asyncio.run(main())
"""


def without(*calls: int) -> str:
    """A filter that answers these calls as if the kernel had none of them, in hexadecimal."""
    refuse = struct.pack("=HBBI", 0x06, 0, 0, 0x0005_0000 | errno.ENOSYS)
    lines = [line for call in calls for line in (struct.pack("=HBBI", 0x15, 0, 1, call), refuse)]
    return b"".join([struct.pack("=HBBI", 0x20, 0, 0, 0), *lines, struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF_0000)]).hex()


async def chosen(filtered: str) -> tuple[Rung, bool, list[str], list[str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LESSER, filtered, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    said, _ = await process.communicate()
    rung, fit, open_promises, findings = json.loads(said)
    return Rung(rung), fit, open_promises, findings


async def test_the_strongest_rung_that_keeps_every_promise_is_chosen() -> None:
    rung, fit, _, findings = await chosen("")
    assert findings[-1] == f"{rung}: chosen"
    if kernel.landlock_abi():
        assert fit, findings
        assert rung is (Rung.LANDLOCK if sandlocked.available() else Rung.SANDLOCK)


async def test_where_sandlock_cannot_work_landlock_serves_and_it_is_said_why() -> None:
    """As in a container without the right to trace: sandlock takes its supervisor's descriptor by pidfd_getfd."""
    if not kernel.landlock_abi():
        pytest.skip("this kernel has no Landlock")
    rung, fit, _, findings = await chosen(without(PIDFD_GETFD))
    assert (rung, fit) == (Rung.LANDLOCK, True), findings
    assert any(finding.startswith("sandlock: cannot be used: ") for finding in findings)


async def test_without_landlock_the_weakest_rung_says_what_it_leaves_open() -> None:
    rung, fit, open_promises, findings = await chosen(without(LANDLOCK, PIDFD_GETFD))
    assert (rung, fit) == (Rung.RLIMITS, False)
    assert {Promise.READING, Promise.WRITING} <= set(open_promises)
    assert not {Promise.CPU, Promise.WALL, Promise.MEMORY, Promise.NETWORK, Promise.TREE} & set(open_promises)
    assert "landlock: cannot be used: this kernel has no Landlock, or it is switched off" in findings
    assert any(finding.startswith("rlimits: reading is left open: not refused: ") for finding in findings)


async def test_secrets_are_part_of_the_trial(tmp_path: Path) -> None:
    """A folder that anybody may list is one that the weakest rung cannot keep."""
    (tmp_path / "keys").mkdir(mode=0o755)
    cage = await best_cage([tmp_path / "keys"], place=tmp_path / "daughters", rungs=[Rung.RLIMITS])
    await cage.close()
    assert Promise.READING in cage.level.open_promises
    assert list((tmp_path / "daughters").iterdir()) == []


async def test_a_folder_that_a_dead_spawner_left_can_be_removed_again(tmp_path: Path) -> None:
    """Its warden was killed with it, so nobody mended what no walk bears."""
    left = tmp_path / "jobs" / "spawn-0" / "1"
    left.mkdir(parents=True)
    dig = f"import os\nos.chdir({str(left)!r})\nfor _ in range(3000): os.mkdir('x'); os.chdir('x')"
    await (await asyncio.create_subprocess_exec(sys.executable, "-c", dig)).wait()
    (left / "kept").write_text("x")
    cage = await best_cage(place=tmp_path, rungs=[Rung.RLIMITS])
    await cage.close()
    assert (left / "kept").exists()
    await asyncio.to_thread(shutil.rmtree, tmp_path / "jobs")


async def test_root_that_may_not_trace_sees_what_daughters_have_open(tmp_path: Path) -> None:
    """As in a container: who is root there has few rights, and daughters users of their own."""
    user, _ = own_user()
    if user is None or not shutil.which("setpriv"):
        pytest.skip("only root can give daughters a user of their own")
    tmp_path.chmod(0o755)
    folder, output = tmp_path / "work", tmp_path / "output"
    folder.mkdir()
    nursery = Nursery(("setpriv", "--bounding-set=-sys_ptrace,-dac_override,-dac_read_search", *COMMAND))
    cage = untried(Rung.RLIMITS, user, interpreter_for(user), nursery)
    code = "import os, time\nfor _ in range(9): os.write(os.open('.', os.O_TMPFILE | 2), bytes(1 << 20))\ntime.sleep(9)"
    verdict = await cage.run(Task(argv_of("python", code), folder, limits=Limits(disk_mb=8)), output, lambda _: None)
    await cage.close()
    assert (verdict.kind, verdict.detail) == (Ending.DISK, "its folder gained 9 MiB of 8")


async def test_nothing_is_left_of_a_spawner_that_was_killed(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from pathlib import Path
from spawner.adapters.ladder import interpreter_for, own_user, untried
from spawner.adapters.nursery import Nursery
from spawner.cage import Rung, Task, argv_of
async def main():
    user, _ = own_user()
    cage = untried(Rung.RLIMITS, user, interpreter_for(user), Nursery())
    code = "import os,time\\nif os.fork() == 0: os.setsid(); print(os.getpid(), flush=True)\\ntime.sleep(60)"
    folder = Path(sys.argv[1], "work")
    folder.mkdir()
    tell = lambda pid: print(pid, flush=True)
    await cage.run(Task(argv_of("python", code), folder), Path(sys.argv[1], "output"), tell)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    daughter = int(await process.stdout.readline())

    async def look() -> list[str]:
        return [path.read_text() for path in (tmp_path / "output").glob("*") if path.stat().st_size]

    (said,) = await eventually(look, bool)
    process.kill()
    await process.wait()

    async def left() -> list[int]:
        return [pid for pid in (daughter, int(said)) if _lives(pid)]

    await eventually(left, lambda pids: pids == [])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
