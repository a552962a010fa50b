"""`python -m scripts.migrations "what changed"`: write the next revision from what the tables now are.

It compares `config/db_schema` with a scratch database at the newest revision, so no database of anybody is touched.
Read what it wrote: renamed columns look to it like one lost and one new.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from config.migrate import MIGRATIONS, head, upgrade


def write_revision(what: str) -> Path:
    """Write the revision after the newest one, named after `what`; its file."""
    versions = MIGRATIONS / "versions"
    versions.mkdir(exist_ok=True)
    last = head()
    number = f"{int(last or 0) + 1:04}"
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/scratch.db"
        if last:
            upgrade(url)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.attributes["url"] = url
        command.revision(config, message=what, autogenerate=True, rev_id=number)
    [written] = versions.glob(f"{number}_*.py")
    written.write_text(re.sub(r"^ *# ### .*\n", "", written.read_text(), flags=re.MULTILINE))
    return written


if __name__ == "__main__":
    print(write_revision(" ".join(sys.argv[1:]) or sys.exit(__doc__)))
