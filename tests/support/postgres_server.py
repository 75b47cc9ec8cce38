"""PostgresServer: a private PostgreSQL for tests, benchmarks and fault campaigns.

It lives in a directory of its own and listens on a Unix socket there, so that servers side by side never meet. It dies
with the process that started it, whichever way that ends.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

__all__ = ["PostgresMissing", "PostgresServer", "postgres_program"]

USER = "audit"
PASSWORD = "s3cret-of-the-tests"

_DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")
_START_TIMEOUT = 60.0
_READY = "database system is ready to accept connections"

# Waits until its standard input is closed, which the death of the process at the other end does too; then nothing of
# the server is left. `postmaster.pid` is gone when the server was stopped before.
_GUARD = """
cat >/dev/null
[ -s "$1/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"
rm -rf "$1" || { sleep 1; rm -rf "$1"; }  # a file may have come while it was at it
"""


class PostgresMissing(Exception):  # noqa: N818 - a state of the machine
    """PostgreSQL's programs are not installed."""


def postgres_program(name: str) -> str:
    """Find one of PostgreSQL's programs on PATH, or where Debian hides them.

    Raises:
        PostgresMissing: It is nowhere; the message says how to get it.
    """
    if path := shutil.which(name):
        return path
    for directory in sorted(_DEBIAN_PROGRAMS.glob("*/bin"), key=lambda path: -float(path.parent.name)):
        if path := shutil.which(name, path=directory):
            return path
    raise PostgresMissing(f"needs PostgreSQL's {name}: apt-get install postgresql")


class PostgresServer:
    """A PostgreSQL server with an empty cluster, from `with` or `start` on.

    Commits reach the disk, as in production. PostgreSQL refuses to run as root; root's server runs as `nobody`.

    Args:
        settings: Of `postgresql.conf`, beside ours.

    Raises:
        PostgresMissing: It can't be made: there are no programs.
    """

    def __init__(self, **settings: str) -> None:
        self._initdb, self._postgres = postgres_program("initdb"), postgres_program("postgres")
        self._settings = settings
        self._account: dict[str, Any] = {}
        self._directory: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log: deque[str] = deque(maxlen=200)
        self._is_ready = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def log(self) -> str:
        """The last lines that the server wrote."""
        return "".join(self._log)

    @property
    def data_directory(self) -> Path:
        """Where its data are, until it is closed."""
        return self._home / "data"

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={quote(str(self._home), safe='')}"

    def start(self) -> None:
        """Start it, or start it again; it takes connections when this returns.

        Raises:
            RuntimeError: It did not start in time; the message has its log.
        """
        if self._directory is None:
            self._make_cluster()
        self._is_ready.clear()
        self._process = subprocess.Popen(
            [
                self._postgres,
                "-D",
                str(self.data_directory),
                "-k",
                str(self._home),
                *(f"-c{name}={value}" for name, value in ({"listen_addresses": ""} | self._settings).items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=self._home,
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C is for the tests, which then stop it
            **self._account,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._is_ready.wait(_START_TIMEOUT) or self._process.poll() is not None:
            self._end(signal.SIGQUIT)
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")

    def stop(self) -> None:
        """Shut it down: running transactions are rolled back, connections closed, its data kept for `start`."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it with SIGKILL; `start` will recover from its log, as after a crash of the machine but for the disk."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and delete its data."""
        if self._process is not None:
            self._end(signal.SIGQUIT)
        if self._guard is not None:
            self._guard.communicate()
            self._guard = self._directory = None

    @property
    def _home(self) -> Path:
        if self._directory is None:
            raise RuntimeError("this PostgreSQL was never started, or is closed")
        return self._directory

    def _make_cluster(self) -> None:
        # not below pytest's tmp_path: other accounts can't reach it, and a socket's path may have 107 bytes at most
        self._directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self._directory)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        password_file = self._directory / "password"
        password_file.write_text(f"{PASSWORD}\n")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self._directory, password_file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        made = subprocess.run(
            [
                self._initdb,
                f"--pgdata={self._directory / 'data'}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._directory,
            env=os.environ | {"LC_ALL": "C"},
            **self._account,
        )
        if made.returncode:
            self.close()
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        """Read until the server and every one of its children has ended."""
        assert process.stderr is not None
        for line in process.stderr:
            self._log.append(line)
            if _READY in line:
                self._is_ready.set()
        self._is_ready.set()  # it ended; nobody should wait for it any longer

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._reader is not None
        assert self._process.stderr is not None
        self._process.send_signal(number)
        self._process.wait(_START_TIMEOUT)
        self._reader.join(_START_TIMEOUT)  # a killed server's children end a little later, and keep it from starting
        self._process.stderr.close()
        self._process = None
