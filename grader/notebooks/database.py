"""A database as one transaction: all that happens in it is written at its end, or nothing is. Knows URLs, drivers, how
SQLite and PostgreSQL wait for one another, and what they say when they refuse; knows no table.

A URL may hold a password, so none is shown as it came.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grader.errors import GraderError, UsageError
from grader.safe_text import safe_text

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

INSTALL: Final = "`make setup WITH=instructor` installs it"

_EXAMPLES: Final = "Write sqlite:///gradebook.db, or postgresql://user@host/name."
_LOCK: Final = 0x67726164  # any number that other users of advisory locks are not likely to choose
_HARMLESS = ("host", "port", "uri", "mode")  # of a URL's options; another one may be a password


@contextlib.contextmanager
def transaction(db: str, *, dry_run: bool, patience_s: float) -> Iterator["Connection"]:
    """A connection whose work is written when the block ends, and not at all when it raises, when the process is
    killed, or on a dry run. Others who write with this function wait for its end, `patience_s` seconds at most.

    Raises:
        UsageError: no URL, no driver, no such database, no right to it.
        GraderError: somebody else is writing, or the database failed on the way. Nothing was written.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = _url(db)
    engine = _engine(url, dry_run=dry_run, patience_s=patience_s)
    is_open = False
    try:
        with engine.connect() as connection, connection.begin() as all_of_it:
            if engine.dialect.name == "postgresql":
                _wait_for_our_turn(connection, patience_s)
            is_open = True
            yield connection
            if dry_run:
                all_of_it.rollback()
    except SQLAlchemyError as error:
        raise _refusal(error, url, patience_s, is_open=is_open) from error
    finally:
        engine.dispose()


def without_password(db: str) -> str:
    """The URL as it may be shown. The folder of a socket has plain slashes: alembic, which nbgrader upgrades gradebooks
    with, reads the URL from a file in which % means something else."""
    from sqlalchemy import make_url

    url = make_url(db)
    shown = url.set(query={key: value for key, value in url.query.items() if key in _HARMLESS}).render_as_string()
    return shown.replace("%2F", "/")


def _url(db: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = make_url(db)
    except (SQLAlchemyError, ValueError) as error:  # the second is a port that is no number
        raise UsageError(f"--db: this is no URL of a database. {_EXAMPLES}") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        kind = safe_text(url.get_backend_name())
        raise UsageError(f"--db: gradebooks are kept in SQLite or PostgreSQL, not in {kind}. {_EXAMPLES}")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError(f"--db: this URL names no file, so the gradebook would be lost. {_EXAMPLES}")
    return url


def _engine(url: "URL", *, dry_run: bool, patience_s: float) -> "Engine":
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and dry_run and "uri" not in url.query and not Path(url.database or "").exists():
        url = url.set(database=":memory:")  # to connect to a file makes it
    seconds = {"timeout": patience_s} if sqlite else {"connect_timeout": max(2, round(patience_s))}
    try:
        engine = create_engine(url, connect_args=seconds, poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--db: the driver of {url.drivername}:// is not installed (no module {error.name}). "
            f"postgresql+psycopg:// names psycopg; {INSTALL}."
        ) from error
    except SQLAlchemyError as error:  # a driver that it does not know, SQLite on a host
        raise UsageError(f"--db: this is no URL of a database. {_EXAMPLES}") from error
    if sqlite:
        # Python's driver would begin when the first row changes, which is too late for tables; and a transaction that
        # began as a reader may not become a writer while another one writes (sqlite.org/lang_transaction.html).
        @event.listens_for(engine, "begin")
        def _begin_as_a_writer(connection: "Connection") -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _wait_for_our_turn(connection: "Connection", patience_s: float) -> None:
    """One writer at a time, also while there are no tables to lock. The lock ends with the transaction."""
    from sqlalchemy import func, select

    connection.execute(select(func.set_config("lock_timeout", f"{max(1, round(patience_s * 1000))}ms", True)))
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _refusal(error: Any, url: "URL", patience_s: float, *, is_open: bool) -> UsageError | GraderError:
    """What the database said, as a person can use it."""
    db = without_password(url.render_as_string(hide_password=False))
    cause = getattr(error, "orig", None) or error
    lock_not_available = "55P03"  # PostgreSQL's appendix "Error Codes"
    busy = getattr(cause, "sqlstate", None) == lock_not_available
    if busy or getattr(cause, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
        return GraderError(
            f"{db}: somebody else has been writing there for {patience_s:g} s: another sync, or formgrader. "
            "Nothing was written. Try again when they are done."
        )
    said = safe_text(_scrubbed(str(cause), url), max_chars=400)
    if is_open:
        return GraderError(f"{db} cannot be written: {said}\nNothing was written. Put that right and try again.")
    if url.get_backend_name() == "sqlite":
        cure = "Name a file that is a gradebook, or that can be made, where you may write."
    else:
        cure = "Look at host, user and database; a password is taken from ~/.pgpass or PGPASSWORD."
    return UsageError(f"{db} cannot be opened: {said}\n{cure}")


def _scrubbed(text: str, url: "URL") -> str:
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return text
