"""Between `fork` and the service: a child lets go of all that was the parent's."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from config import lifeline
from config.forkserver import logfile
from config.forkserver.link import ForkLink

_FATAL = 70  # EX_SOFTWARE of sysexits.h
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


Body = Callable[[str, ForkLink | None], int]


def fork_service(service: str, log_folder: Path, body: Body, link: ForkLink | None) -> int:
    """Fork a child that runs `body` and exits with its status; the pid, in the parent.

    Signals are held back over the fork, so that one meant for the child finds its handlers reset.
    """
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    pid = os.fork()
    if pid == 0:
        _live(service, parent, log_folder, body, link)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _live(service: str, parent: int, log_folder: Path, body: Body, link: ForkLink | None) -> None:
    """The child's whole life; never returns, so nothing of the parent's clean-up runs here."""
    status = _FATAL
    try:
        lifeline.tie_to(parent)
        os.setsid()
        lifeline.name_process(f"vx11:{service}")
        _turn_output_to(logfile.open_for(log_folder, service))
        _close_inherited({link.orders, link.reports} if link else set())
        _reset_signals()
        gc.enable()
        status = body(service, link)
    except SystemExit as leaving:
        status = _status_of(leaving)
    except BaseException:  # border: the child's last frame; the traceback belongs into its log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _turn_output_to(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _close_inherited(keep: set[int]) -> None:
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:  # the one that listed the folder is gone by now
                pass


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _status_of(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return 1
