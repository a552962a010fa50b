"""An image of a test's own under one tag, which later starts something else: how a bad build or a bad push looks."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.containers import IMAGE, run


class TaggedImage:
    """The base image with a command; `starts` moves the tag to another one."""

    def __init__(self) -> None:
        self.tag = f"vx11-test-image-{secrets.token_hex(4)}:latest"
        self._made: list[str] = []

    async def starts(self, *argv: str) -> None:
        """From now on the tag means an image that runs `argv`."""
        container = (await run("docker", "create", IMAGE)).strip()
        try:
            change = f"CMD {json.dumps(argv)}"
            self._made.append((await run("docker", "commit", "--change", change, container, self.tag)).strip())
        finally:
            await run("docker", "rm", container)

    async def remove(self) -> None:
        """Remove everything that the tag ever meant; no container may be left of it."""
        for image in dict.fromkeys(self._made):
            await run("docker", "rmi", "--force", image)


@asynccontextmanager
async def tagged_image(*argv: str) -> AsyncIterator[TaggedImage]:
    """An image that runs `argv`, removed with the block."""
    image = TaggedImage()
    try:
        await image.starts(*argv)
        yield image
    finally:
        await image.remove()
