"""Rails on arguments: what in them makes a harmless kind of action less so. Pure.

Each rail looks at one step and says what it found; it never says that something is fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from config.contracts.plans import Risk
from madre.risk.finding import Deed, Finding, words
from madre.risk.python import look_at_python
from madre.risk.shell import look_at_shell

_SECRET_PLACES = re.compile(
    r"""/etc/(shadow|passwd|sudoers|ssl/private)|\.ssh\b|id_(rsa|ed25519|ecdsa)|\.env\b|\.netrc|\.aws\b|\.kube\b|\.gnupg
    |admin\.token|service\.key|vx11\.db|data/runtime|providers\.toml|/proc/|/sys/|/dev/(sd|nvme|mem|kmem|vd)|docker\.sock
    |VX11_TOKEN|bearer\s""",
    re.IGNORECASE | re.VERBOSE,
)
_OUTSIDE = re.compile(r"^\s*(/|~|[A-Za-z]:\\)|(^|[/\\])\.\.([/\\]|$)")
_EVERYTHING = words("* all todo todos todas todes everything cualquiera any .* % ** each cada")
_LONG_SEC = 3600
_PATHS = words("path paths file folder scope")
_CODE = {"task.run_python": look_at_python, "task.run_shell": look_at_shell}


def look_at_arguments(deed: Deed) -> Iterator[Finding]:
    """What the arguments of a step say against it."""
    for name, value in deed.arguments.items():
        for text in _texts(value):
            yield from _text(deed, name, text)
    yield from _grants(deed)
    if (look := _CODE.get(deed.action.name)) is not None:
        yield from look(str(deed.arguments.get("code", "")))


def _text(deed: Deed, name: str, text: str) -> Iterator[Finding]:
    if deed.action.owner != "switch" and (secret := _SECRET_PLACES.search(text)):
        yield Finding(Risk.HIGH, f"`{name}` reaches for {secret.group(0).strip()}")
    if name in _PATHS and _OUTSIDE.search(text):
        yield Finding(Risk.HIGH, f"`{name}` leads out of the workspace")
    if deed.action.changes and text.strip().lower() in _EVERYTHING:
        yield Finding(Risk.HIGH, f"`{name}` means everything there is")
    if name == "source" and text.lower().startswith(("http:", "file:")):
        yield Finding(Risk.HIGH, f"nothing vouches for what `{text.partition(':')[0]}:` brings")


def _grants(deed: Deed) -> Iterator[Finding]:
    given = deed.arguments
    if given.get("network") is True:
        yield Finding(Risk.HIGH, "the task may reach other machines")
    if given.get("apply") is True and not deed.action.reversible:
        yield Finding(Risk.HIGH, "what it applies cannot be taken back")
    if isinstance(seconds := given.get("ttl_seconds"), int | float) and seconds > _LONG_SEC:
        yield Finding(Risk.MED, f"it may run for {seconds:.0f} seconds")
    if given.get("mode") == "hold":
        yield Finding(Risk.MED, "the window has no end")
    if given.get("mode") == "CRITICAL":
        yield Finding(Risk.HIGH, "the fleet would act as in an emergency")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
