"""No test sees the settings of whoever runs it, and no property is judged by how long an example took."""

from __future__ import annotations

import os

from hypothesis import settings

for _name in [name for name in os.environ if name.startswith("VX11_")]:
    del os.environ[_name]

settings.register_profile("house", deadline=None)
settings.load_profile("house")
