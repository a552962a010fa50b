"""Hostile daughters on every rung of the ladder that works here: what they try, and that they are refused it."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from spawner.cage import FLOOD, Change, ChangedFile, Ending, Rung, Task, Verdict, argv_of
from spawner.nursery.syscalls import ARCHITECTURES
from tests.support.cages import SMALL, Grounds, alive, bare, temptations
from tests.support.escapes import ESCAPES, PROGRAM, told_file
from tests.support.eventually import eventually
from tests.support.small_disk import small_disk

NUMBERS = ARCHITECTURES.get(platform.machine(), (0, {}))[1]
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.chdir("/")
        print(os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
os.wait()
"""
STAY = "\nwhile True: time.sleep(60)"


async def test_escapes_are_refused(ground: Grounds) -> None:
    folder = ground.folder()
    with temptations(ground, ground.output_of(folder)) as told:
        told_file(folder, told, NUMBERS)
        verdict, said = await ground.run(PROGRAM, folder=folder)
    assert verdict.succeeded, said
    worked = set(json.loads(said.splitlines()[-1]))
    claimed = [escape for escape in ESCAPES if escape.promise not in ground.kind.open_promises]
    assert ", ".join(escape.name for escape in claimed if escape.name in worked) == ""


async def test_the_same_escapes_work_where_nobody_stands_in_the_way(ground: Grounds) -> None:
    """Only those that should: root, bare, could do what lasts (mount)."""
    folder, working = ground.folder(), [escape for escape in ESCAPES if escape.works_bare]
    with temptations(ground, ground.output_of(folder)) as told:
        said = await asyncio.to_thread(bare, ground, PROGRAM, folder, lambda: told_file(folder, told, NUMBERS, working))
    worked = set(json.loads(said.splitlines()[-1]))
    assert ", ".join(escape.name for escape in working if escape.name not in worked) == ""


async def test_a_fork_bomb_runs_into_its_limit(ground: Grounds) -> None:
    bomb = "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.01)"
    verdict, _ = await ground.run(bomb, replace(SMALL, wall_sec=1.0))
    assert verdict.kind in (Ending.TIMEOUT, Ending.PROCESSES, Ending.CPU)


async def test_a_memory_bomb_is_ended(ground: Grounds) -> None:
    verdict, _ = await ground.run("held = []\nwhile True: held.append(bytearray(b'x' * (1 << 20)))")
    assert verdict.kind is Ending.MEMORY
    assert verdict.max_rss_mb < 2 * SMALL.memory_mb


async def test_memory_is_counted_over_all_processes(ground: Grounds) -> None:
    bomb = "import os, time\nfor _ in range(3): os.fork()\nheld = bytearray(b'x' * (40 << 20)); time.sleep(60)"
    verdict, _ = await ground.run(bomb, replace(SMALL, wall_sec=2))
    assert verdict.kind is Ending.MEMORY or (
        # sandlock refuses the memory, and whoever was given some sleeps on
        ground.kind.rung is Rung.SANDLOCK and verdict.max_rss_mb <= SMALL.memory_mb
    )


async def test_a_file_has_a_largest_size(ground: Grounds) -> None:
    folder = ground.folder()
    await ground.run("open('large', 'wb').write(bytes(64 << 20))", folder=folder)
    assert (folder / "large").stat().st_size <= SMALL.file_mb << 20


async def test_a_disk_filler_is_ended(ground: Grounds) -> None:
    filler = "n = 0\nwhile True: n += 1; open(f'f{n % 60}', 'wb').write(bytes(1 << 20))"
    verdict, _ = await ground.run(filler)
    assert verdict.kind is Ending.DISK


@pytest.mark.parametrize("way", ["os.open('.', os.O_TMPFILE | os.O_RDWR)", "unlinked()"])
async def test_files_without_a_name_are_counted(ground: Grounds, way: str) -> None:
    filler = f"""
import os, time
def unlinked():
    made = os.open('ghost', os.O_CREAT | os.O_RDWR)
    os.unlink('ghost')
    return made
for _ in range(12): os.write({way}, bytes(1 << 20))
time.sleep(20)
"""
    verdict, said = await ground.run(filler)
    assert (verdict.kind, said) == (Ending.DISK, "")
    assert "MiB of 8" in verdict.detail


async def test_room_for_a_file_is_reserved_up_to_the_largest_size(ground: Grounds) -> None:
    code = "import os; os.posix_fallocate(os.open('f', os.O_CREAT | os.O_RDWR), 0, {})"
    verdict, said = await ground.run(code.format(1 << 20))
    assert verdict.succeeded, said
    folder = ground.folder()
    verdict, _ = await ground.run(code.format(64 << 20), folder=folder)
    assert not verdict.succeeded
    assert (folder / "f").stat().st_size <= SMALL.file_mb << 20


async def test_nobody_takes_the_last_of_the_disk_however_it_is_hidden(ground: Grounds) -> None:
    """A file that only a map holds has neither name nor descriptor."""
    hider = """
import ctypes, os, time
libc = ctypes.CDLL(None)
for _ in range(20):
    made = os.open('.', os.O_TMPFILE | os.O_RDWR)
    os.write(made, bytes(2 << 20))
    libc.mmap(None, ctypes.c_size_t(4096), 1, 1, made, ctypes.c_long(0))
    os.close(made)
time.sleep(20)
"""
    with small_disk(ground.place / "disk", 64) as disk:
        if not os.path.ismount(disk):
            pytest.skip("no right to mount")
        folder = disk / "work-disk"
        output = ground.output_of(folder)
        for path in (folder, output):
            path.mkdir()
            ground.give(path)
        verdict, _ = await ground.run(hider, folder=folder)
    assert verdict.kind is Ending.DISK
    assert "are kept" in verdict.detail


async def test_what_sockets_hold_is_memory(ground: Grounds) -> None:
    hoard = """
import os, socket, time
for _ in range(3): os.fork()
pairs = [socket.socketpair() for _ in range(28)]
for one in [one for pair in pairs for one in pair]:
    one.setblocking(False)
    try:
        while True: one.send(bytes(1 << 15))
    except BlockingIOError:
        pass
time.sleep(20)
"""
    verdict, said = await ground.run(hoard, replace(SMALL, wall_sec=5))
    assert (verdict.kind, said) == (Ending.MEMORY, "")


async def test_memory_of_a_process_whose_first_thread_has_ended_is_counted(ground: Grounds) -> None:
    """It looks dead: `ps` calls it defunct, and /proc shows no memory of it."""
    hoard = f"""
import ctypes, threading, time
def hoard():
    time.sleep(0.2)
    held = bytearray(b'x' * (1 << 20)) * 160
    time.sleep(20)
threading.Thread(target=hoard).start()
ctypes.CDLL(None).syscall({60 if platform.machine() == "x86_64" else 93}, 0)
"""
    verdict, _ = await ground.run(hoard, replace(SMALL, wall_sec=3))
    assert verdict.kind is Ending.MEMORY or (
        ground.kind.rung is Rung.SANDLOCK and verdict.max_rss_mb <= SMALL.memory_mb
    )


async def test_who_cannot_be_looked_into_is_ended(ground: Grounds) -> None:
    """A program that its user may not read hides its open files from who has no more rights than that user."""
    hide = """
import os, shutil
shutil.copyfile('/bin/sleep', 'hidden')
program = os.open('hidden', os.O_RDONLY)
os.fchmod(program, 0o111)
os.close(program)
os.execv('hidden', ['hidden', '20'])
"""
    verdict, said = await ground.run(hide, replace(SMALL, wall_sec=2))
    if ground.kind.rung is Rung.SANDLOCK and verdict.kind is Ending.EXITED:
        return  # it cannot begin such a program at all
    assert (verdict.kind, said) == (Ending.TIMEOUT if ground.kind.own_user else Ending.DISK, "")


async def test_others_of_the_user_do_not_take_the_processes_of_a_daughter(ground: Grounds) -> None:
    """They may run in other containers, where nobody here sees them, and be counted by the kernel all the same."""
    await ground.run("")  # now the nursery has counted, and holds to that for a while
    with ExitStack() as stack:
        for _ in range(40):
            crowd = subprocess.Popen(["/bin/sleep", "60"], user=ground.user, group=ground.user)
            stack.callback(crowd.wait)
            stack.callback(crowd.kill)
        verdict, said = await ground.run("/bin/true; /bin/true", replace(SMALL, processes=2), shell=True)
    assert verdict.succeeded, said


async def test_daughters_are_the_first_to_go_where_memory_ends(ground: Grounds) -> None:
    run, _ = await _running(ground, SLEEP)
    (pid,) = ground.pids
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
    assert Path(f"/proc/{_warden(ground)}/oom_score_adj").read_text() == Path("/proc/self/oom_score_adj").read_text()
    assert await ground.cage.kill(pid)
    await run


async def test_a_litter_of_files_is_ended(ground: Grounds) -> None:
    verdict, _ = await ground.run("n = 0\nwhile True: n += 1; open(str(n), 'w').close()")
    assert verdict.kind is Ending.DISK


async def test_a_folder_that_nobody_may_read_hides_nothing(ground: Grounds) -> None:
    """The warden is root where daughters have a user of their own, and sees it all the same."""
    folder = ground.folder()
    code = "import os, time; os.mkdir('hidden'); os.fchmod(os.open('hidden', 0), 0o300); time.sleep(20)"
    verdict, _ = await ground.run(code, replace(SMALL, wall_sec=1), folder=folder)
    assert verdict.kind is (Ending.TIMEOUT if ground.kind.own_user else Ending.DISK)
    assert os.listdir(folder / "hidden") == []
    await asyncio.to_thread(shutil.rmtree, folder)


@pytest.mark.parametrize("lasting_sec", [0, 20])
async def test_a_folder_deeper_than_anybody_walks_is_a_breach_and_emptied(ground: Grounds, lasting_sec: int) -> None:
    dig = f"import os, time\nfor _ in range(3000): os.mkdir('x'); os.chdir('x')\ntime.sleep({lasting_sec})"
    folder = ground.folder()
    verdict, _ = await ground.run(dig, replace(SMALL, folder_files=5000), folder=folder)
    assert verdict.kind is Ending.DISK
    assert os.listdir(folder) == []


async def test_a_flood_is_ended_and_head_and_tail_are_kept(ground: Grounds) -> None:
    folder = ground.folder()
    verdict, said = await ground.run("print('first')\nwhile True: print('x' * 1000)", folder=folder)
    assert verdict.kind is Ending.OUTPUT
    assert verdict.output_truncated
    assert said.startswith("first")
    kept = sorted(ground.output_of(folder).iterdir())
    assert sum(path.stat().st_size for path in kept) <= 2 * SMALL.output_bytes
    assert int(kept[-1].name) + kept[-1].stat().st_size > FLOOD * SMALL.output_bytes


async def test_a_grandchild_of_its_own_session_does_not_outlive_it(ground: Grounds) -> None:
    verdict, said = await ground.run(DEAF + "\ntime.sleep(0.1)")
    assert verdict.kind is Ending.EXITED
    assert not alive(int(said))


async def test_who_ignores_every_signal_is_killed_on_demand_with_all_that_it_started(ground: Grounds) -> None:
    run, output = await _running(ground, DEAF + STAY)
    (pid,) = ground.pids
    assert await ground.cage.kill(pid)
    verdict = await run
    assert verdict.kind is Ending.KILLED
    assert not alive(int(output.read_text()))
    assert not await ground.cage.kill(pid)


async def test_who_ignores_every_signal_ends_when_its_time_is_over(ground: Grounds) -> None:
    verdict, said = await ground.run(DEAF + STAY, replace(SMALL, wall_sec=0.5))
    assert verdict.kind is Ending.TIMEOUT
    assert not alive(int(said))


async def test_who_stops_itself_ends_when_its_time_is_over(ground: Grounds) -> None:
    verdict, _ = await ground.run("kill -STOP $$", replace(SMALL, wall_sec=0.3), shell=True)
    assert verdict.kind is Ending.TIMEOUT


async def test_computing_is_counted_over_all_processes(ground: Grounds) -> None:
    spin = "import os\nfor _ in range(2): os.fork()\nwhile True: pass"
    verdict, _ = await ground.run(spin, replace(SMALL, cpu_sec=0.5))
    assert verdict.kind is Ending.CPU
    assert verdict.cpu_sec >= 0.5


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another architecture's calls")
async def test_system_calls_of_another_architecture_are_refused(ground: Grounds) -> None:
    """32-bit calls have other numbers, so a filter that let them pass would let everything pass."""
    make_a_socket = b"\xb8\x67\x01\x00\x00\xbb\x02\x00\x00\x00\xb9\x01\x00\x00\x00\x31\xd2\xcd\x80\xc3"
    code = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write({make_a_socket!r})
made = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
raise SystemExit(0 if made >= 0 else 1)
"""
    verdict, said = await ground.run(code)
    assert not verdict.succeeded, said


async def test_a_socket_to_the_network_is_made_where_it_was_granted(ground: Grounds) -> None:
    with temptations(ground, ground.place) as told:
        dial = f"import socket; socket.create_connection(('127.0.0.1', {told['tcp']}), 5)"
        verdict, said = await ground.run(dial, network=True)
        assert verdict.succeeded, said
        verdict, _ = await ground.run(
            f"import socket; socket.socket(socket.AF_UNIX).connect({told['unix']!r})", network=True
        )
        assert not verdict.succeeded


async def test_what_was_granted_can_be_read_and_not_written(ground: Grounds) -> None:
    (ground.place / "granted").write_text("hello")
    (ground.place / "granted").chmod(0o644)
    code = f"print(open({str(ground.place / 'granted')!r}).read())"
    verdict, said = await ground.run(code, reads=(ground.place / "granted",))
    assert (verdict.succeeded, said) == (True, "hello\n")
    verdict, _ = await ground.run(code.replace("')", "', 'a')"), reads=(ground.place / "granted",))
    assert not verdict.succeeded


async def test_a_dry_run_shows_what_would_change_and_changes_nothing(ground: Grounds) -> None:
    folder = ground.folder()
    for name in ("kept", "changed", "gone"):
        (folder / name).write_text(name)
        ground.give(folder / name)
    script = "echo more >> changed; touch -d @0 changed; rm gone; mkdir -p new/deep empty; echo x > new/deep/file"
    verdict, said = await ground.run(script, folder=folder, shell=True, dry_run=True)
    assert verdict.succeeded, said
    assert verdict.changed_files == (
        ChangedFile("changed", Change.MODIFIED),
        ChangedFile("empty", Change.ADDED),
        ChangedFile("gone", Change.DELETED),
        ChangedFile("new/deep/file", Change.ADDED),
    )
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "kept": "kept", "changed": "changed", "gone": "gone"
    }  # fmt: skip
    assert [path.name for path in ground.place.iterdir() if ".dry-" in path.name] == []


async def test_nothing_outlives_a_killed_nursery(ground: Grounds) -> None:
    run, output = await _running(ground, DEAF + STAY)
    assert ground.nursery.pid is not None
    os.kill(ground.nursery.pid, signal.SIGKILL)
    assert (await run).kind is Ending.KILLED
    await _gone(int(output.read_text()), ground.pids[0])
    verdict, said = await ground.run("print('again')")
    assert (verdict.succeeded, said) == (True, "again\n")


async def test_nothing_outlives_a_killed_warden(ground: Grounds) -> None:
    wait = "\nwhile not os.path.exists('now'): time.sleep(0.01)"
    hide = "\nos.mkdir('hidden'); os.fchmod(os.open('hidden', 0), 0o300); os.mkdir('done')"
    run, output = await _running(ground, DEAF + wait + hide + STAY)
    os.kill(_warden(ground), signal.SIGSTOP)  # it would end her for that
    work = output.parents[1] / "work-1"
    (work / "now").touch()

    async def hidden() -> bool:
        return (work / "done").exists()

    await eventually(hidden, bool)
    os.kill(_warden(ground), signal.SIGKILL)
    assert (await run).kind is Ending.KILLED
    await _gone(int(output.read_text()), ground.pids[0])
    if not ground.kind.own_user:  # else whoever removes it may read all
        assert (work / "hidden").stat().st_mode & 0o700 == 0o700


async def test_nothing_outlives_a_caller_that_is_cancelled(ground: Grounds) -> None:
    run, output = await _running(ground, DEAF + STAY)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not alive(int(output.read_text()))


async def test_many_at_once_keep_apart(ground: Grounds) -> None:
    said = await asyncio.gather(*(ground.run(f"import os; print({number}, os.getcwd())") for number in range(8)))
    assert [text.split()[0] for _, text in said] == [str(number) for number in range(8)]
    assert len({text.split()[1] for _, text in said}) == 8


async def test_what_cannot_be_started_is_refused(ground: Grounds) -> None:
    task = Task(("/no/such/program",), ground.folder(), limits=SMALL)
    verdict = await ground.cage.run(task, ground.output_of(task.folder), ground.pids.append)
    assert (verdict.kind, ground.pids) == (Ending.REFUSED, [])
    assert "/no/such/program" in verdict.detail


async def _running(ground: Grounds, code: str) -> tuple[asyncio.Task[Verdict], Path]:
    """A daughter that has said something, and the file with it."""
    folder = ground.folder()
    output = ground.output_of(folder)
    task = Task(argv_of("python", code), folder, limits=SMALL)
    run = asyncio.create_task(ground.cage.run(task, output, ground.pids.append))

    async def look() -> list[Path]:
        return [path for path in output.iterdir() if path.stat().st_size]

    (first,) = await eventually(look, bool)
    return run, first


async def _gone(*pids: int) -> None:
    async def look() -> list[int]:
        return [pid for pid in pids if alive(pid)]

    await eventually(look, lambda left: left == [])


def _warden(ground: Grounds) -> int:
    """That of the daughter that runs."""
    parent = _parent(ground.pids[0])
    return _parent(parent) if ground.kind.rung is Rung.SANDLOCK else parent  # the keeper is between


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
