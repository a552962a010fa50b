"""pip's output read as progress."""

from __future__ import annotations

import io

from scripts.setup.packages import PipReader, pins
from scripts.terminal import Terminal

LOCK = """aiohttp==3.14.5 \\
    --hash=sha256:0e
    # via -r requirements.in
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:0f
"""
OUTPUT = """Looking in indexes: somewhere
Ignoring numpy: markers 'python_full_version >= "3.12"' don't match your environment
Collecting aiohttp==3.14.5 (from -r requirements.lock (line 5))
  Downloading aiohttp-3.14.5-cp311-cp311-manylinux.whl (1.9 MB)
Processing /opt/wheels/annotated_types-0.8.0-py3-none-any.whl (from -r requirements.lock (line 180))
Requirement already satisfied: httptools==0.9.0 in ./.venv (from -r requirements.lock (line 357)) (0.9.0)
Installing collected packages: aiohttp
Successfully installed aiohttp-3.14.5
"""


def test_pins_are_the_names_in_a_lock() -> None:
    assert pins(LOCK) == ["aiohttp", "numpy"]


def test_each_package_is_one_step_however_pip_words_it() -> None:
    stream = io.StringIO()
    with Terminal(stream, live=False).bar("packages", 4) as bar:
        reader = PipReader(bar)
        for line in OUTPUT.splitlines():
            reader.read(line)
    assert (reader.taken_up, reader.ignored) == (4, 1)
    said = stream.getvalue()
    assert [name for name in ("numpy", "aiohttp", "annotated_types", "httptools") if name in said] == [
        "numpy", "aiohttp", "annotated_types", "httptools",
    ]  # fmt: skip
