"""What must be known of the environment before `.venv`, and with it `config.settings`, exists.

Standard library only. Settings of the fleet itself are read by `config.settings` and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The caller's world: where the repository and caches are, and how the output is read.

    `continuous_integration` is true where CI=true: what would only be warned about then fails.
    """

    repository: Path
    cache: Path
    continuous_integration: bool
    colour: bool
    variables: Mapping[str, str]

    @property
    def environment(self) -> Path:
        """The folder of the virtual environment."""
        return self.repository / ".venv"

    @property
    def log(self) -> Path:
        """Where the full output of the set-up's tools goes."""
        return self.repository / "build" / "setup.log"

    def child_variables(self, **changes: str) -> dict[str, str]:
        """The environment for a child that runs this repository's code, with `changes`."""
        return {**self.variables, "PYTHONPATH": str(self.repository), **changes}

    def tool_variables(self, **changes: str) -> dict[str, str]:
        """The environment for a foreign tool, which must not see this repository's packages."""
        kept = {name: value for name, value in self.variables.items() if name != "PYTHONPATH"}
        return {**kept, "PYTHONUNBUFFERED": "1", **changes}


def surroundings_of(variables: Mapping[str, str], repository: Path = REPOSITORY) -> Surroundings:
    """Read `variables`, an environment."""
    caches = variables.get("XDG_CACHE_HOME") or Path(variables.get("HOME") or repository / "build") / ".cache"
    return Surroundings(
        repository=repository,
        cache=Path(caches) / "vx11",
        continuous_integration=variables.get("CI", "").lower() in {"1", "true", "yes"},
        colour="NO_COLOR" not in variables and variables.get("TERM") != "dumb",
        variables=dict(variables),
    )


def here() -> Surroundings:
    """The surroundings of this process."""
    return surroundings_of(os.environ)
