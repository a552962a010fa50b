"""`./vx11 …` starts here: makes what the command needs, then becomes the command."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from scripts.doctor.machine import examine
from scripts.doctor.report import print_findings
from scripts.setup import environment, fingerprint, llama, packages
from scripts.setup.failure import SetupFailed
from scripts.surroundings import Surroundings, here
from scripts.terminal import Terminal, terminal_on

# Commands that set up what is missing; all others work with what is there.
LAYERS_OF = {"up": fingerprint.RUNTIME, "test": fingerprint.TESTS, "bench": fingerprint.TESTS}


def main(arguments: Sequence[str]) -> NoReturn:
    """Set up, then replace this process by the command."""
    world = here()
    terminal = terminal_on(sys.stderr, colour=world.colour)
    try:
        if layers := needed_layers(arguments):
            set_up(world, terminal, layers)
    except SetupFailed as failure:
        _explain(failure, terminal)
        sys.exit(1)
    except KeyboardInterrupt:
        terminal.say("\nStopped. The same command goes on from here.")
        sys.exit(130)
    own = environment.python_of(world.environment)
    python = str(own) if own.exists() else sys.executable
    os.execve(python, [python, "-P", "-m", "scripts.cli", *arguments], world.child_variables())


def needed_layers(arguments: Sequence[str]) -> tuple[str, ...]:
    """The layers that a command line needs made before it can run; asking for help needs none."""
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments):
        return ()
    return LAYERS_OF.get(arguments[0], ())


def set_up(world: Surroundings, terminal: Terminal, layers: tuple[str, ...]) -> None:
    """Make the layers that are missing or stale; does nothing, fast, where none is."""
    target = fingerprint.wanted(world.repository, layers)
    if not fingerprint.stale(fingerprint.read(world.environment), target):
        return
    with _alone(world, terminal):
        stamp = fingerprint.read(world.environment)
        stale = fingerprint.stale(stamp, target)
        terminal.headline("Setting up VX11")
        _refuse_a_bad_machine(world, terminal, stale)
        if "python" in stale and not environment.is_usable(world.environment):
            environment.create(world.environment)
            stamp, stale = {}, list(target)
        for layer in stale:
            _MAKERS[layer](world, terminal)
            stamp[layer] = target[layer]
            fingerprint.write(world.environment, stamp)


def _install_packages(world: Surroundings, terminal: Terminal) -> None:
    packages.install(world.repository / "requirements.lock", world.environment, world, terminal, "packages")


def _install_tests(world: Surroundings, terminal: Terminal) -> None:
    packages.install(world.repository / "requirements-test.lock", world.environment, world, terminal, "test tools")


def _nothing_more(world: Surroundings, terminal: Terminal) -> None:
    """The layer is made by the time the layers are walked: `.venv` itself."""


_MAKERS: dict[str, Callable[[Surroundings, Terminal], None]] = {
    "python": _nothing_more,
    "packages": _install_packages,
    "llama": llama.install,
    "tests": _install_tests,
}


@contextmanager
def _alone(world: Surroundings, terminal: Terminal) -> Iterator[None]:
    """Hold the set-up lock, which is the repository folder itself: no file to leave behind."""
    folder = os.open(world.repository, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            terminal.say("Another set-up is running in this folder; waiting for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _refuse_a_bad_machine(world: Surroundings, terminal: Terminal, stale: Sequence[str]) -> None:
    needed = sum(fingerprint.DISK_NEEDED[layer] for layer in stale)
    findings = examine(world, needed_bytes=needed, compiles="llama" in stale)
    print_findings(terminal, [finding for finding in findings if not finding.good])
    if any(finding.fatal for finding in findings):
        raise SetupFailed("This machine cannot run VX11 as it is; what to do stands above.")


def _explain(failure: SetupFailed, terminal: Terminal) -> None:
    for line in failure.tail:
        terminal.say(f"    {terminal.dim(line)}")
    terminal.say(f"\n{terminal.bad('Set-up failed:')} {failure.sentence}")
    if failure.remedy:
        terminal.say(failure.remedy)


if __name__ == "__main__":
    main(sys.argv[1:])
