"""The secrets: nobody else can read them, the admin token is no public word, and no door stands open with it."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path

from config.serve import COMPOSE_TOKEN
from config.settings import Settings
from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.doctor.fleet import secret_modes

_SHORTEST_TOKEN = 20
_OWN = "Set VX11_TOKEN to a long random word, or leave it unset: the first start makes one."


def examine(settings: Settings, token: str, repository: Path) -> list[Finding]:
    """All findings; `token` is the admin token in use."""
    return [
        admin_token(token, settings.bind),
        secret_modes(settings.runtime_path),
        private("runtime", settings.runtime_path),
        *(private(file.name, file) for file in (repository / ".env", _providers(settings)) if file.exists()),
    ]


def admin_token(token: str, bind: str) -> Finding:
    """Whether the admin token is one that nobody guesses."""
    if token == COMPOSE_TOKEN:
        if _is_loopback(bind):
            return warning("admin token", "is the public default; only this machine is let in with it", _OWN)
        return failure("admin token", f"is the public default, and the door is open on {bind}", _OWN)
    if len(token) < _SHORTEST_TOKEN:
        return warning("admin token", f"is shorter than {_SHORTEST_TOKEN} characters", _OWN)
    return ok("admin token", f"{len(token)} characters, none of them shown")


def private(name: str, path: Path) -> Finding:
    """Whether a file or folder that holds secrets is its owner's alone."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return ok(name, f"mode {mode:o}: its owner's alone")
    return failure(name, f"Other users of this machine can look into {path} (mode {mode:o}).", f"chmod go= {path}")


def _providers(settings: Settings) -> Path:
    return settings.switch.providers_file or settings.data_path / "providers.toml"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
