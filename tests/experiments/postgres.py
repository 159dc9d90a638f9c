"""A real PostgreSQL server in a folder of its own, for tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

# Characters that a URL, and Optuna's own filling of it, might trip over.
PASSWORD = "p{a}ss/w%rd@1"
_PORTS = 5


def find_postgres() -> Path | None:
    """Folder with initdb and pg_ctl, of the newest version installed; None without one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    folders = ([Path(on_path).parent] if on_path else []) + folders
    complete = [folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()]
    return complete[-1] if complete else None


class Postgres:
    """A server that can be started, stopped and started again; as root it runs as another user, which it insists on."""

    def __init__(self, binaries: Path):
        self._binaries = binaries
        # Not pytest's folder: the other user could not reach it.
        self._folder = Path(tempfile.mkdtemp(prefix="trajet-postgres-"))
        self._user: dict = {}
        if os.geteuid() == 0:
            entry = _unprivileged()
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        password = self._folder / "password"
        password.write_text(PASSWORD, encoding="utf8")
        self._run("initdb", "-D", self._data, "-U", "trajet", "-A", "scram-sha-256", f"--pwfile={password}",
                  "-E", "UTF8", "--locale=C", "--no-sync")  # fmt: skip
        for attempt in range(_PORTS):
            self.port = _free_port()
            try:
                self.start()
                break
            except subprocess.CalledProcessError:
                # Somebody else may have taken the port meanwhile.
                if attempt + 1 == _PORTS:
                    raise

    @property
    def url(self) -> str:
        """As a user would give it: no driver named."""
        url = sa.URL.create("postgresql", "trajet", PASSWORD, "127.0.0.1", self.port, "postgres")
        return url.render_as_string(hide_password=False)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-o", options, "-w", "-t", "60", "start")

    def stop(self) -> None:
        """Stop as a crash or an impatient administrator does: connections are cut."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def restart(self, down_seconds: float) -> None:
        """Stop, stay away for a while, start."""
        self.stop()
        time.sleep(down_seconds)
        self.start()

    def remove(self) -> None:
        """Stop and delete everything."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        # A server started by pg_ctl keeps what it inherits open, so no pipes.
        with open(os.devnull, "w") as nothing:
            subprocess.run([self._binaries / program, *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                           stdout=nothing, stderr=nothing, cwd=self._folder, **self._user)  # fmt: skip


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("no user postgres or nobody to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
