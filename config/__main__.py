"""The only process entry: `python -m config fleet`, `migrate`, or the name of one service."""

from __future__ import annotations

import argparse
import sys

from config import logs
from config.services import FLEET
from config.settings import load_settings


def main(arguments: list[str]) -> int:
    """Run what `arguments` name; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config", description=__doc__)
    parser.add_argument("what", choices=["fleet", "migrate", *FLEET], help="the whole fleet, the schema, one service")
    what: str = parser.parse_args(arguments).what
    settings = load_settings()
    logs.set_up(what, settings.log_level)
    if what == "fleet":
        from config.forkserver.preload import leave_out_unused  # noqa: PLC0415

        leave_out_unused()
        from config.forkserver.supervisor import run_fleet  # noqa: PLC0415  # each entry imports what it needs alone

        return run_fleet(settings)
    if what == "migrate":
        from config.migrate import upgrade  # noqa: PLC0415

        upgrade(settings.resolved_database_url)
        return 0
    from config.migrate import migrate_apart  # noqa: PLC0415
    from config.serve import serve  # noqa: PLC0415

    if what == "madre":
        migrate_apart(settings)
    return serve(what, settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
