"""Ways out that a hostile daughter tries, each a line or three of Python that raises where it is refused.

Each runs in a process of its own; `PROGRAM` prints the names of those that worked. The same program run bare shows that
they do work where nothing stands in the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spawner.cage import Promise

READING, WRITING, PEEKING = Promise.READING, Promise.WRITING, Promise.PEEKING
SIGNALS, NETWORK, MEMORY, ENVIRONMENT = Promise.SIGNALS, Promise.NETWORK, Promise.MEMORY, Promise.ENVIRONMENT
DISK = Promise.DISK


@dataclass(frozen=True, slots=True)
class Escape:
    """One attempt. `promise` is what it would break; `works_bare`: a process of the same user that nobody holds can."""

    name: str
    promise: Promise
    code: str
    works_bare: bool = False


def _works(name: str, promise: Promise, code: str) -> Escape:
    return Escape(name, promise, code, works_bare=True)


ESCAPES = (
    # The fleet's data, by every detour to a file.
    _works("read the fleet's database", READING, "open(database, 'rb').read(1)"),
    _works("read a token file", READING, "open(token).read()"),
    _works("list the folder of the fleet's data", READING, "os.listdir(data)"),
    _works("read a token by a symbolic link", READING, "os.symlink(token, 'l'); open('l').read()"),
    _works("read a token by a hard link", READING, "os.link(token, 'h'); open('h').read()"),
    _works("read a token by climbing out with ..", READING, "open('../' * 12 + token.lstrip('/')).read()"),
    _works("read a token by its parent's working folder", READING, "os.chdir(data); open('token').read()"),
    _works("read a token through /proc/self/root", READING, "open('/proc/self/root' + token).read()"),
    _works("read a token by a folder's descriptor", READING, "os.open('token', 0, dir_fd=os.open(data, os.O_PATH))"),
    _works("read a token with another program", READING, "run('/bin/cat', token)"),
    _works("run a program that lies in the fleet's data", READING, "run(program)"),
    _works("read the output that its warden keeps", READING, "os.listdir(output)"),
    _works("list /proc", READING, "os.listdir('/proc')"),
    Escape("read the shadow file", READING, "open('/etc/shadow').read()"),
    Escape("read kernel memory", READING, "open('/dev/mem', 'rb').read(1)"),
    Escape("open a disk", READING, "os.open('/dev/vda', os.O_RDONLY)"),
    Escape("open by file handle", READING, "call(NUMBERS['open_by_handle_at'], -100, zeros(), 0)"),
    Escape("a kernel's key ring", READING, "call(NUMBERS['keyctl'], 0, -3, 1)"),
    _works("watch the names in the fleet's data", READING, "watch(data)"),
    _works("watch the names in the system's temporary folder", READING, "watch(temporary)"),
    Escape("watch a whole disk", READING, "call(NUMBERS['fanotify_init'], 0x600, 0)"),
    # Changing what is not its own.
    _works("overwrite the fleet's database", WRITING, "open(public, 'r+b').write(b'x')"),
    _works("cut the fleet's database short", WRITING, "os.truncate(public, 0)"),
    _works("a new file in the fleet's data", WRITING, "open(data + '/new', 'w').close()"),
    _works("a new file in the system's temporary folder", WRITING, "os.unlink(make(temporary + '/new'))"),
    _works("remove a file of the fleet", WRITING, "os.unlink(data + '/victim')"),
    _works("move its file over one of the fleet", WRITING, "os.replace(make('mine'), data + '/moved')"),
    _works("move a file of the fleet to itself", WRITING, "os.replace(data + '/stolen', 'stolen')"),
    _works("a pipe in the fleet's data", WRITING, "os.mkfifo(data + '/pipe')"),
    _works("a folder in the fleet's data", WRITING, "os.mkdir(data + '/folder')"),
    _works("a link in the fleet's data", WRITING, "os.symlink('/etc', data + '/link')"),
    _works("chmod a file of the fleet", WRITING, "os.chmod(token, 0o644)"),
    _works("chmod a file of the fleet by a link", WRITING, "os.symlink(token, 'm'); os.chmod('m', 0o644)"),
    _works("an attribute on a file of the fleet", WRITING, "os.setxattr(token, 'user.x', b'x')"),
    _works("write into shared memory of the machine", WRITING, "os.unlink(make('/dev/shm/vx11-escape'))"),
    Escape("a device file", WRITING, "os.mknod('device', 0o20600, os.makedev(1, 1))"),
    Escape("mount", WRITING, "call(NUMBERS['mount'], b'none', b'.', b'tmpfs', 0, 0)"),
    Escape("chroot", WRITING, "os.chroot('.')"),
    Escape("a new user namespace", WRITING, "call(NUMBERS['unshare'], 0x10000000)"),
    Escape("a new mount namespace", WRITING, "call(NUMBERS['unshare'], 0x20000)"),
    Escape("clone into a new user namespace", WRITING, "clone(0x10000000 | 17)"),
    Escape("another's namespace", WRITING, "call(NUMBERS['setns'], os.open(f'/proc/{victim}/ns/net', 0), 0)"),
    Escape("become root", WRITING, "os.setuid(0) if os.getuid() else refuse()"),
    Escape("gain rights by exec", WRITING, "refuse() if libc.prctl(39, 0, 0, 0, 0) == 1 else None"),
    # Other processes.
    _works("the environment of another process", PEEKING, "open(f'/proc/{victim}/environ').read()"),
    _works("the memory map of another process", PEEKING, "open(f'/proc/{victim}/maps').read()"),
    _works("the open files of another process", PEEKING, "os.listdir(f'/proc/{victim}/fd')"),
    _works("the command line of another process", PEEKING, "open(f'/proc/{victim}/cmdline').read()"),
    _works("the working folder of another process", PEEKING, "os.readlink(f'/proc/{victim}/cwd')"),
    Escape("the environment of its warden", PEEKING, "open(f'/proc/{warden}/environ').read()"),
    Escape("the memory of another process", PEEKING, "open(f'/proc/{victim}/mem', 'r+b')"),
    Escape("ptrace", PEEKING, "call(NUMBERS['ptrace'], 0x4206, victim, 0, 0)"),
    Escape("process_vm_readv", PEEKING, "readv(victim)"),
    Escape("the descriptor of another process", PEEKING, "call(438, os.pidfd_open(victim), 0, 0)"),
    Escape("performance counters of the machine", PEEKING, "call(NUMBERS['perf_event_open'], zeros(), -1, 0, -1, 0)"),
    _works("a signal to another process", SIGNALS, "os.kill(victim, signal.SIGCONT)"),
    _works("a signal to its warden", SIGNALS, "os.kill(warden, signal.SIGCONT)"),
    _works("a signal by descriptor", SIGNALS, "signal.pidfd_send_signal(os.pidfd_open(victim), signal.SIGCONT)"),
    _works("a queued signal", SIGNALS, "queue(victim)"),
    _works("a signal by way of a file", SIGNALS, "fcntl.fcntl(0, fcntl.F_SETOWN, victim)"),
    _works("another process's limits", SIGNALS, "resource.prlimit(victim, resource.RLIMIT_NOFILE, (64, 64))"),
    _works("another process's priority", SIGNALS, "os.setpriority(os.PRIO_PROCESS, victim, 19)"),
    _works("another process's processors", SIGNALS, "os.sched_setaffinity(victim, {min(os.sched_getaffinity(0))})"),
    _works("another process's scheduler", SIGNALS, "os.sched_setscheduler(victim, os.SCHED_BATCH, os.sched_param(0))"),
    _works("another process's scheduling attributes", SIGNALS, "attributes(victim)"),
    _works("another process's turn at the disk", SIGNALS, "call(NUMBERS['ioprio_set'], 1, victim, 3 << 13)"),
    Escape("another process's pages, moved", SIGNALS, "call(NUMBERS['move_pages'], victim, 0, None, None, None, 0)"),
    Escape("another process's pages, let go", SIGNALS, "call(440, os.pidfd_open(victim), zeros(), 1, 20, 0)"),
    Escape("another process, compared", PEEKING, "call(NUMBERS['kcmp'], os.getpid(), victim, 2, 0, 0)"),
    # Out.
    _works("TCP to this machine", NETWORK, "dial(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', tcp))"),
    _works("UDP to this machine", NETWORK, "dial(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', udp))"),
    _works("UDP without connecting", NETWORK, "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))"),
    _works("a Unix socket, as a container engine's", NETWORK, "dial(socket.AF_UNIX, socket.SOCK_STREAM, unix)"),
    _works("an abstract Unix socket", NETWORK, "dial(socket.AF_UNIX, socket.SOCK_STREAM, abstract)"),
    _works("a Unix datagram", NETWORK, "dial(socket.AF_UNIX, socket.SOCK_DGRAM, datagrams)"),
    _works("a Unix datagram from a socket pair", NETWORK, "pair().sendto(b'x', datagrams)"),
    _works("a datagram's message from a socket pair", NETWORK, "pair().sendmsg([b'x'], [], 0, datagrams)"),
    _works("a TCP server", NETWORK, "socket.create_server(('127.0.0.1', 0))"),
    _works("a TCP server on every address", NETWORK, "listener = socket.socket(); listener.listen()"),
    Escape("TCP over IPv6", NETWORK, "dial(socket.AF_INET6, socket.SOCK_STREAM, ('::1', tcp))"),
    Escape("a raw socket", NETWORK, "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    Escape("a packet socket", NETWORK, "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    Escape("a socket to the hypervisor", NETWORK, "socket.socket(40, socket.SOCK_STREAM).connect((2, 1))"),
    Escape("io_uring", NETWORK, "call(425, 8, zeros())"),
    Escape("a loadable BPF program", NETWORK, "call(NUMBERS['bpf'], 0, zeros(), 128)"),
    # Memory that nobody counts.
    _works("System V shared memory", MEMORY, "lasting(libc.shmget(0, 1 << 20, 0o1600), libc.shmctl)"),
    _works("a System V message queue", MEMORY, "lasting(libc.msgget(0, 0o1600), libc.msgctl)"),
    Escape("a larger limit of open files", MEMORY, "more(resource.RLIMIT_NOFILE)"),
    _works("a larger limit of CPU time", MEMORY, "more(resource.RLIMIT_CPU)"),
    _works("a larger limit of file size", MEMORY, "more(resource.RLIMIT_FSIZE)"),
    _works("a larger socket buffer", MEMORY, "buffer(socket.SO_SNDBUF)"),
    _works("a larger buffer to receive", MEMORY, "buffer(socket.SO_RCVBUF)"),
    _works("a larger pipe", MEMORY, "fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)"),
    _works("pages held by a pipe", MEMORY, "gift(os.pipe()[1])"),
    _works("a socket in flight", MEMORY, "flight(*socket.socketpair())"),
    _works("open files of a thread's own", MEMORY, "call(436, 1000, 1000, 2)"),
    # Room on the disk that no file shows.
    _works("room reserved behind a file's end", DISK, "reserve(1)"),
    _works("room reserved by the old name of it", DISK, "fcntl.ioctl(open('r', 'wb'), 0x4030582A, room())"),
    # What it may have inherited.
    Escape("a descriptor of its parents", ENVIRONMENT, "inherited()"),
    _works("a variable of the fleet", ENVIRONMENT, "os.environ['VX11_TOKEN']"),
    _works("something on stdin", ENVIRONMENT, "sys.stdin.buffer.read(1) or refuse()"),
    Escape("a terminal", ENVIRONMENT, "os.open('/dev/tty', os.O_RDWR)"),
)  # fmt: skip

# Its own folder is the daughter's; and `told` comes as a file there, since the environment is looked at as well.
PROGRAM = """
import ctypes, fcntl, json, os, resource, signal, socket, struct, subprocess, sys
with open("told.json") as file:
    said = json.load(file)
NUMBERS, libc = said["numbers"], ctypes.CDLL(None, use_errno=True)
globals().update(said["told"])
def refuse():
    raise OSError("refused")
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
def clone(flags):
    pid = libc.syscall(ctypes.c_long(NUMBERS["clone"]), flags, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        refuse()
    os.waitpid(pid, 0)
def lasting(made, control):
    if made < 0:
        refuse()
    control(made, 0, None)
def zeros():
    return ctypes.create_string_buffer(128)
def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]
def make(path):
    open(path, "w").close()
    return path
def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)
def dial(family, kind, address):
    with socket.socket(family, kind) as line:
        line.settimeout(2)
        line.connect(address)
        line.send(b"x")
def queue(pid):
    packed = ctypes.create_string_buffer(struct.pack("iii", signal.SIGCONT, 0, -1), 128)
    call(NUMBERS["rt_sigqueueinfo"], pid, signal.SIGCONT, packed)
def readv(pid):
    call(NUMBERS["process_vm_readv"], pid, 0, 0, 0, 0, 0)
def more(kind):
    soft, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(kind, (hard + 1, hard + 1))
        resource.setrlimit(kind, (soft, hard))
def watch(folder):
    watcher = libc.inotify_init1(0)
    if watcher < 0 or libc.inotify_add_watch(watcher, folder.encode(), 0x100) < 0:
        refuse()
def attributes(pid):
    wanted = struct.pack("=IIQiIQQQ", 48, 3, 0, 19, 0, 0, 0, 0)
    call(NUMBERS["sched_setattr"], pid, ctypes.create_string_buffer(wanted, 48), 0)
def buffer(option):
    left, _ = socket.socketpair()
    before = left.getsockopt(socket.SOL_SOCKET, option)
    left.setsockopt(socket.SOL_SOCKET, option, 2 * before)
def gift(pipe):
    page = ctypes.create_string_buffer(4096)
    call(NUMBERS["vmsplice"], pipe, struct.pack("QQ", ctypes.addressof(page), 4096), 1, 0)
def flight(left, right):
    socket.send_fds(left, [b"x"], [0])
def reserve(mode):
    made = os.open("reserved", os.O_CREAT | os.O_RDWR)
    call(NUMBERS["fallocate"], made, mode, ctypes.c_long(0), ctypes.c_long(1 << 20))
def room():
    return struct.pack("hhqqiI4i", 0, 0, 0, 1 << 20, 0, 0, 0, 0, 0, 0)
def inherited():
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return
    refuse()
def works(code):
    pid = os.fork()
    if pid == 0:
        try:
            exec(code, globals())
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0
warden = os.getppid()
worked = [escape["name"] for escape in said["escapes"] if works(escape["code"])]
print(json.dumps(worked))
"""


def told_file(folder: Path, told: dict[str, Any], numbers: dict[str, int], escapes: Iterable[Escape] = ESCAPES) -> None:
    """Put what the program is told into its folder."""
    said = {"told": told, "numbers": numbers, "escapes": [asdict(escape) for escape in escapes]}
    (folder / "told.json").write_text(json.dumps(said))
    (folder / "told.json").chmod(0o644)
