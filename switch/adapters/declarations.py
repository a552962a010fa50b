"""The providers' file on the disk: read when it changes, refused loudly when somebody else could read its keys."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from config.errors import Invalid
from config.logs import hide
from switch.declared import Declared, holds_keys, parse_declared

_log = logging.getLogger(__name__)


class Declarations:
    """What `path` declares. A file that is not good declares nothing, and `trouble` says why."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None
        self.declared: dict[str, Declared] = {}
        self.trouble: str | None = None

    def look(self) -> bool:
        """Read the file if it is another one than at the last look; whether it was."""
        try:
            about = self._path.stat()
            seen = about.st_mtime_ns, about.st_size, about.st_ino, about.st_mode
        except OSError:
            about, seen = None, None
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.declared, self.trouble = self._read(about.st_mode) if about else {}, None
        except (Invalid, OSError, UnicodeDecodeError) as error:
            self.declared, self.trouble = {}, error.detail if isinstance(error, Invalid) else type(error).__name__
            _log.error("no provider by URL is used: %s", self.trouble)
        return True

    def _read(self, mode: int) -> dict[str, Declared]:
        declared = parse_declared(self._path.read_text())
        for one in declared.values():
            if one.api_key:
                hide(one.api_key.get_secret_value())
        if holds_keys(declared) and stat.S_IMODE(mode) & 0o077:
            raise Invalid(
                f"The providers' file holds keys and has the mode {stat.S_IMODE(mode):04o}; it must be 0600.",
                hint="chmod 600 it.",
            )
        return declared
