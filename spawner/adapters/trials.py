"""What a cage is tried with at start: hostile little programs, run as any task is, and what must become of them.

Each is text for the clean interpreter, not code of ours, and prints one JSON object. Tests have nastier ones
(`tests/fleet/test_hostile_tasks.py`); these are what it takes to say honestly which promises a level keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spawner.cage import Ending, Limits, Promise, Verdict

# What the trespasser is told in its environment, so that each attempt would succeed if nobody stood in its way.
TOLD: Final = "TRIAL"
_TRESPASS: Final = """
import ctypes, fcntl, json, os, socket
told = json.loads(os.environ.pop("TRIAL"))
service, place = told["service"], told["place"]
leaks = {}
def attempt(promise, what, act):
    try:
        act()
    except (OSError, ValueError):
        return
    leaks.setdefault(promise, []).append(what)
def dial(family, kind, address):
    with socket.socket(family, kind) as line:
        line.settimeout(2)
        line.connect(address)
        line.send(b"x")
def misdirect():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.sendto(b"x", place + "/datagrams")
def seize():
    if ctypes.CDLL(None).ptrace(0x4206, service, None, None) != 0:
        raise OSError
libc = ctypes.CDLL(None)
def checked(answer):
    if answer < 0:
        raise OSError
def watch():
    checked(libc.inotify_add_watch(libc.inotify_init1(0), place.encode(), 256))
def swell():
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
def reserve():
    made = os.open("reserved", os.O_CREAT | os.O_RDWR)
    checked(libc.fallocate(made, 1, ctypes.c_long(0), ctypes.c_long(1 << 20)))
def pass_on():
    left, right = socket.socketpair()
    socket.send_fds(left, [b"x"], [0])
for path in told["secrets"]:
    attempt("reading", path, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(1))
attempt("reading", "watching names", watch)
attempt("writing", "a new file outside", lambda: open(place + "/new", "w").close())
attempt("writing", "a file that anybody may change", lambda: open(place + "/open", "a").close())
attempt("writing", "cutting a file short", lambda: os.truncate(place + "/open", 0))
attempt("writing", "chmod outside", lambda: os.chmod(place + "/open", 0o600))
attempt("peeking", "the environment of another process", lambda: open(f"/proc/{service}/environ").read())
attempt("peeking", "the command line of another process", lambda: open(f"/proc/{service}/cmdline").read())
attempt("peeking", "the open files of another process", lambda: os.listdir(f"/proc/{service}/fd"))
attempt("peeking", "ptrace", seize)
attempt("signals", "a signal to another process", lambda: os.kill(service, 0))
attempt("signals", "another process's processors", lambda: os.sched_setaffinity(service, os.sched_getaffinity(service)))
attempt("signals", "another process's priority", lambda: os.setpriority(os.PRIO_PROCESS, service, 0))
attempt("memory", "a larger socket buffer", swell)
attempt("memory", "a larger pipe", lambda: fcntl.fcntl(os.pipe()[0], 1031, 1 << 20))
attempt("memory", "a descriptor in flight", pass_on)
attempt("disk", "room reserved behind a file's end", reserve)
attempt("network", "TCP", lambda: dial(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", told["tcp"])))
attempt("network", "UDP", lambda: dial(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", told["udp"])))
attempt("network", "a Unix socket", lambda: dial(socket.AF_UNIX, socket.SOCK_STREAM, place + "/stream"))
attempt("network", "an abstract socket", lambda: dial(socket.AF_UNIX, socket.SOCK_STREAM, told["abstract"]))
attempt("network", "a datagram over a socket pair", misdirect)
for name in set(os.environ) - {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE"}:
    leaks.setdefault("environment", []).append(name)
print(json.dumps(leaks))
"""
_CROWD: Final = """
import os, time
for _ in range(40):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""
_STRAY: Final = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        time.sleep(20)
    os._exit(0)
os.wait()
time.sleep(0.1)
"""
_HOARD: Final = "held = [bytearray(b'x' * (1 << 20)) for _ in range(300)]"
_SPIN: Final = "while True: pass"
_SLEEP: Final = "import time; time.sleep(20)"
_SHOUT: Final = "while True: print('x' * 1000)"
_LITTER: Final = """
import time
for number in range(2000):
    open(f'file-{number}', 'w').close()
    time.sleep(0.001)
time.sleep(20)
"""
_HIDE: Final = """
import os, time
for _ in range(4):
    os.write(os.open(".", os.O_TMPFILE | os.O_RDWR), bytes(3 << 20))
time.sleep(20)
"""
_FILL: Final = "open('large', 'wb').write(bytes(8 << 20))"
_SMALL: Final = Limits(
    cpu_sec=5,
    wall_sec=10,
    memory_mb=128,
    processes=8,
    files=64,
    file_mb=4,
    disk_mb=8,
    folder_files=64,
    output_bytes=1 << 16,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A program, what it may take, and when its ending shows that the promise is kept. `promise` is None for the one
    that tries several."""

    promise: Promise | None
    code: str
    held: Callable[[Verdict], bool]
    limits: Limits = _SMALL


def _limits(**changed: float) -> Limits:
    return Limits(**{**{name: getattr(_SMALL, name) for name in Limits.__slots__}, **changed})


def _is(*endings: Ending) -> Callable[[Verdict], bool]:
    return lambda verdict: verdict.kind in endings


def _was_refused(verdict: Verdict) -> bool:
    """It was told no, and ended for it."""
    return verdict.kind is Ending.EXITED and verdict.exit_code == 1


TRIALS: Final = (
    Trial(None, _TRESPASS, lambda verdict: verdict.succeeded),
    Trial(Promise.PROCESSES, _CROWD, lambda verdict: _was_refused(verdict) or verdict.kind is Ending.PROCESSES),
    Trial(Promise.TREE, _STRAY, lambda verdict: verdict.succeeded),
    Trial(Promise.MEMORY, _HOARD, lambda verdict: _was_refused(verdict) or verdict.kind is Ending.MEMORY),
    Trial(Promise.CPU, _SPIN, _is(Ending.CPU), _limits(cpu_sec=0.1)),
    Trial(Promise.WALL, _SLEEP, _is(Ending.TIMEOUT), _limits(wall_sec=0.2)),
    Trial(Promise.OUTPUT, _SHOUT, _is(Ending.OUTPUT), _limits(output_bytes=1 << 10)),
    Trial(Promise.FILES, _LITTER, _is(Ending.DISK)),
    Trial(Promise.DISK, _HIDE, lambda verdict: _was_refused(verdict) or verdict.kind is Ending.DISK),
    Trial(Promise.DISK, _FILL, lambda verdict: _was_refused(verdict) or verdict.kind is Ending.DISK),
)


def leaks_of(said: Any) -> Mapping[Promise, list[str]]:
    """What the trespasser got away with."""
    return {Promise(name): list(map(str, found)) for name, found in said.items()}
