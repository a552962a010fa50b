"""Who holds a port, from /proc."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from scripts.doctor.ports import Holder, holders

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def a_proc(folder: Path, *rows: str) -> Path:
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return folder


def row(port: int, state: str, inode: int) -> str:
    return (
        f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode}"
    )


def test_the_listener_is_named(tmp_path: Path) -> None:
    proc = a_proc(tmp_path, row(8000, "0A", 55), row(8001, "0A", 56))
    descriptors = proc / "4711" / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to("socket:[55]")
    (proc / "4711" / "comm").write_text("nginx\n")
    assert holders([8000, 8001, 8002], proc) == [Holder(8000, 4711, "nginx"), Holder(8001, None, None)]


def test_a_connection_from_that_port_is_no_listener(tmp_path: Path) -> None:
    assert holders([8000], a_proc(tmp_path, row(8000, "01", 55))) == []


def test_a_machine_without_proc_knows_of_none(tmp_path: Path) -> None:
    assert holders([8000], tmp_path / "absent") == []


def test_a_real_socket_of_this_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = holders([port])
    assert (found.port, found.pid) == (port, os.getpid())
