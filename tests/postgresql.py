"""A real PostgreSQL server on loopback for tests, of Debian's package postgresql."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_USER = "tester"


@dataclass
class Server:
    """A running server.

    Attributes:
        programs: folder of PostgreSQL's programs.
        folder: folder of its data.
        port: its port on loopback.
    """

    programs: Path
    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        self._run("initdb", "-D", "data", "-A", "trust", "-U", _USER, "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        self._run("pg_ctl", "start", "-D", "data", "-w", "-l", "log", "-o", options)

    def stop(self) -> None:
        """End the server and all connections at once, as a crash would."""
        self._run("pg_ctl", "stop", "-D", "data", "-m", "immediate")

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to be run by root.
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        command = [self.programs / program, *arguments]
        subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=True, timeout=60, **user)


def programs() -> Path | None:
    """Find the folder of PostgreSQL's programs, which Debian keeps out of the PATH; None without PostgreSQL."""
    beside = shutil.which("initdb")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(beside).resolve().parent] if beside else [])]
    return max((one for one in folders if (one / "initdb").exists() and (one / "postgres").exists()), default=None)


@contextmanager
def postgresql(programs: Path) -> Iterator[Server]:
    """Run a server with an empty database, on a free port; its files are in a folder of their own until the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # unlike pytest's, one that another user can be let into
    folder.chmod(0o777)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(programs, folder, port)
    try:
        server.create()
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder)
