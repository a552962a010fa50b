"""No test sees the settings of whoever runs it."""

from __future__ import annotations

import os

for _name in [name for name in os.environ if name.startswith("VX11_")]:
    del os.environ[_name]
