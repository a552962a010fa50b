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
    "uniq uptime wc which whoami"
)
_DESTROYERS = words(
    "chattr chgrp chmod chown crontab dd docker doas eval exec fdisk fuser halt init insmod ip iptables kill "
    "killall kubectl launchctl ln losetup mkfs mkswap mount mv nft nsenter parted passwd pkill podman poweroff "
    "ptrace reboot rm rmdir rmmod setsid shred shutdown source strace su sudo swapoff sysctl systemctl "
    "truncate umount unlink unshare useradd userdel usermod wipefs xargs nohup at batch env timeout nice time "
    "command builtin"
)
_REACHING_OUT = words("curl ftp git nc ncat netcat npm pip pip3 rsync scp sftp socat ssh telnet wget")
_INTERPRETERS = words(
    "ash awk bash bun busybox dash deno expect gawk ksh lua node perl php pypy python ruby sh tclsh zsh"
)
_MORE_THAN_READS = {  # arguments with which a reader does more than read, and what; GNU takes long ones shortened
    "date": (re.compile(r"-[uR]*s.*|--s.*|\d{8,12}(\.\d\d)?"), Risk.HIGH, "sets the clock"),
    "file": (re.compile(r"-[a-zA-Z]*C.*|--c.*"), Risk.MED, "writes a file"),
    "find": (
        re.compile(r"-(exec|execdir|delete|ok|okdir|fprint0?|fprintf|fls)"),
        Risk.HIGH,
        "acts on all that it finds",
    ),
    "hostname": (re.compile(r"[^-].*|-[bF].*|--[bf]i?.*"), Risk.HIGH, "names the machine"),
    "sort": (re.compile(r"-[bdfghimnrRsuVzcC]*o.*|--o.*"), Risk.MED, "writes a file"),
    "tree": (re.compile(r"-[a-zA-Z]*o.*"), Risk.MED, "writes a file"),
}
_RUNS_A_PROGRAM = re.compile(r"--comp.*")  # of sort
_VERSION = re.compile(r"[\d.]+$")
_DEVICE = re.compile(r"/dev/(?!null$|stdin$|stdout$|stderr$|fd(/|$))")
_LONGEST = 32_768  # `shlex` takes time with the square of it, and the database is held for a write meanwhile
_FUNCTION = re.compile(r"\(\s*\)\s*\{|\bfunction\s+\w+")
_SUBSTITUTION = re.compile(r"\$\(|`|<\(|>\(")
_PARAMETER = re.compile(r"\$\{[^}]*")
_QUOTED = re.compile(r"""\$'(?:\\.|[^'\\])*'|\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_BRACES = re.compile(r"(?<!\$)\{(?=[^{}\s]*\})[^{}\s]*?(,|\.\.)")
_BREAKS = frozenset({";", "&", "|", "&&", "||", "\n", "(", ")", "|&", ";;", "{", "}"})
_KEYWORDS = words("if then else elif fi for do done while until case esac in ! [[ ]] [")
_UNDECIDED = frozenset("$\\*?[")  # in a program's name
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")


def look_at_shell(text: str) -> Iterator[Finding]:
    """What speaks against running `text` unasked."""
    if len(text) > _LONGEST:
        yield Finding(Risk.HIGH, f"the command is too long to be read: {len(text)} characters")
        return
    if _FUNCTION.search(text):
        yield Finding(Risk.HIGH, "the command defines a function, which can call itself without end")
    if _SUBSTITUTION.search(text) or any({"@", "!"} & set(found) for found in _PARAMETER.findall(text)):
        yield Finding(Risk.HIGH, "the command runs what another command prints, so it cannot be read beforehand")
    if _BRACES.search(_QUOTED.sub("", text)):
        yield Finding(Risk.HIGH, "braces expand to other words than are read here")
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
    plain = _VERSION.sub("", program)  # python3.11 is python
    if _UNDECIDED & set(rest[0]):
        yield Finding(Risk.HIGH, f"which program `{rest[0]}` is, is decided when it runs")
    elif {program.split(".")[0], plain} & _DESTROYERS:
        yield Finding(Risk.HIGH, f"`{program}` can destroy, reach into the system, or start what is not read here")
    elif plain in _INTERPRETERS:
        why = "runs what another command prints" if piped else "runs a program of its own"
        yield Finding(Risk.HIGH, f"`{program}` {why}")
    elif {program, plain} & _REACHING_OUT:
        yield Finding(Risk.MED, f"`{program}` reaches out to other machines")
    elif program not in _READERS:
        yield Finding(Risk.MED, f"`{program}` is not known to do no more than read")
    yield from _arguments(program, rest[1:])


def _arguments(program: str, told: list[str]) -> Iterator[Finding]:
    """What the arguments make of a program that only reads by itself."""
    for device in filter(_DEVICE.match, told):
        yield Finding(Risk.MED, f"`{device}` is a device, which may have no end")
    shape, risk, what = _MORE_THAN_READS.get(program, (None, Risk.LOW, ""))
    if found := [word for word in told if shape and shape.fullmatch(word)]:
        yield Finding(risk, f"`{program} {' '.join(found)}` {what}")
    if program == "sort" and any(map(_RUNS_A_PROGRAM.fullmatch, told)):
        yield Finding(Risk.HIGH, "`sort` starts a program of its own")
    if program == "uniq" and sum(not word.startswith("-") for word in told) > 1:
        yield Finding(Risk.MED, "`uniq` writes a file")


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
