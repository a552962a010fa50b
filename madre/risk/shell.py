"""Rails on shell commands: what a command says it will do, read word by word. Pure.

This is no sandbox (the cage is: `spawner/cage.py`), and it takes nothing for harmless because it looks so: a program
is LOW only if it is known to do no more than read and print, arguments included, and what cannot be read is HIGH.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from config.contracts.plans import Risk
from madre.risk.finding import Finding, words

_READERS = words(
    "basename cat cmp comm cut date df diff dirname du echo false file find free grep head hostname id jq ls "
    "md5sum nl nproc od paste printf ps pwd rev seq sha256sum sleep sort stat tac tail test tr tree true uname "
    "uniq uptime wc which whoami yes"
)
_DESTROYERS = words(
    "chattr chgrp chmod chown crontab dd docker doas eval exec fdisk fuser halt init insmod ip iptables kill "
    "killall kubectl launchctl ln losetup mkfs mkswap mount mv nft nsenter parted passwd pkill podman poweroff "
    "ptrace reboot rm rmdir rmmod setsid shred shutdown source strace su sudo swapoff sysctl systemctl "
    "truncate umount unlink unshare useradd userdel usermod wipefs xargs nohup at batch env timeout nice time "
    "command builtin"
)
_REACHING_OUT = words("curl ftp git nc ncat netcat npm pip pip3 rsync scp sftp socat ssh telnet wget")
_INTERPRETERS = words("ash awk bash busybox dash gawk ksh lua node perl php python python3 ruby sh zsh")
_LAUNCHING_FLAGS = frozenset({"-exec", "-execdir", "-delete", "-ok", "-okdir", "-fprint", "-fprintf", "-fls"})
_WRITING_FLAGS = frozenset({"--output", "-o"})
_FUNCTION = re.compile(r"\(\s*\)\s*\{|\bfunction\s+\w+")
_SUBSTITUTION = re.compile(r"\$\(|`|<\(|>\(|\$\{[^}]*[@!]")
_BREAKS = frozenset({";", "&", "|", "&&", "||", "\n", "(", ")", "|&", ";;", "{", "}"})
_KEYWORDS = words("if then else elif fi for do done while until case esac in ! [[ ]] [")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")


def look_at_shell(text: str) -> Iterator[Finding]:
    """What speaks against running `text` unasked."""
    if _FUNCTION.search(text):
        yield Finding(Risk.HIGH, "the command defines a function, which can call itself without end")
    if _SUBSTITUTION.search(text):
        yield Finding(Risk.HIGH, "the command runs what another command prints, so it cannot be read beforehand")
    try:
        commands = list(_commands(text))
    except ValueError as unreadable:
        yield Finding(Risk.HIGH, f"the command cannot be read: {unreadable}")
        return
    for said, piped in commands:
        yield from _look_at_command(said, piped)


def _commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """Each simple command as said, and whether it reads what another printed; ValueError for open quotes."""
    reader = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=";&|()<>")
    reader.whitespace_split = True
    reader.commenters = ""
    said: list[str] = []
    piped = False
    for word in reader:
        if word in _BREAKS:
            if said:
                yield said, piped
            said, piped = [], word in ("|", "|&")
        else:
            said.append(word)
    if said:
        yield said, piped


def _look_at_command(said: list[str], piped: bool) -> Iterator[Finding]:
    yield from _redirections(said)
    rest = [word for word in said if word not in _KEYWORDS]
    while rest and _ASSIGNMENT.match(rest[0]):
        rest.pop(0)
    if not rest:
        return
    program = PurePosixPath(rest[0]).name
    if "$" in rest[0] or "\\" in rest[0]:
        yield Finding(Risk.HIGH, f"which program `{rest[0]}` is, is decided when it runs")
    elif program.split(".")[0] in _DESTROYERS:
        yield Finding(Risk.HIGH, f"`{program}` can destroy, reach into the system, or start what is not read here")
    elif program in _INTERPRETERS:
        why = "runs what another command prints" if piped else "runs a program of its own"
        yield Finding(Risk.HIGH, f"`{program}` {why}")
    elif program in _REACHING_OUT:
        yield Finding(Risk.MED, f"`{program}` reaches out to other machines")
    elif program not in _READERS:
        yield Finding(Risk.MED, f"`{program}` is not known to do no more than read")
    if launching := _LAUNCHING_FLAGS.intersection(rest) if program == "find" else ():
        yield Finding(Risk.HIGH, f"`find {' '.join(sorted(launching))}` acts on all that it finds")
    if program in ("sort", "tree") and _writes(rest):
        yield Finding(Risk.MED, f"`{program}` writes a file")


def _writes(said: list[str]) -> bool:
    return any(word.split("=")[0] in _WRITING_FLAGS or word.startswith("-o") for word in said[1:])


def _redirections(said: list[str]) -> Iterator[Finding]:
    for number, word in enumerate(said):
        if ">" not in word or set(word) - set("<>&|"):
            continue
        target = said[number + 1] if number + 1 < len(said) else ""
        if target in ("/dev/null", "/dev/stdout", "/dev/stderr", "1", "2"):
            continue
        elsewhere = target.startswith(("/", "~", "$")) or ".." in target
        risk = Risk.HIGH if elsewhere else Risk.MED
        yield Finding(risk, f"the output is written to {target or 'a file'}")
