"""Pgbouncer: Debian's pooler in front of a PostgresServer."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.postgres_server import PASSWORD, USER, PostgresServer

__all__ = ["pgbouncer"]

_CONFIG = """
[databases]
* = host={server} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = 2
"""


@contextmanager
def pgbouncer(program: str, server: PostgresServer, *, mode: str) -> Iterator[str]:
    """Run a pooler with two connections to the server; gives the URL of its database `postgres`."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        directory = Path(name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        users, config = directory / "users.txt", directory / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        config.write_text(_CONFIG.format(server=server.data_directory.parent, port=port, users=users, mode=mode))
        account: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            nobody = pwd.getpwnam("nobody")
            for path in (directory, users, config):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        process = subprocess.Popen([program, str(config)], stderr=subprocess.PIPE, text=True, **account)
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "process up" in line:
                    break
            else:
                raise RuntimeError("".join(lines))
            yield f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            process.kill()
            process.communicate()
