"""The file of the candle store: what it looks like, and how it is opened and written in one go."""

import sqlite3
from contextlib import contextmanager

from byzlib.market._bybit_errors import BadRequest

APPLICATION = 0x42595A43  # "BYZC" in the file's header, where SQLite keeps a place for it
SCHEMA = 1
PATIENCE = 30.0  # seconds to wait for another process to finish its page

_KEY = "category TEXT NOT NULL, symbol TEXT NOT NULL, interval TEXT NOT NULL"
_VALUES = """open_time INTEGER NOT NULL, open TEXT NOT NULL, high TEXT NOT NULL,
    low TEXT NOT NULL, close TEXT NOT NULL, volume TEXT NOT NULL, turnover TEXT NOT NULL,
    crc INTEGER NOT NULL"""
_TABLES = (
    f"""CREATE TABLE candles ({_KEY}, {_VALUES},
    PRIMARY KEY (category, symbol, interval, open_time)) WITHOUT ROWID""",
    f"""CREATE TABLE conflicts ({_KEY}, {_VALUES},
    PRIMARY KEY (category, symbol, interval, open_time, crc)) WITHOUT ROWID""",
    f"""CREATE TABLE spans ({_KEY}, first INTEGER NOT NULL, last INTEGER NOT NULL,
    candles INTEGER NOT NULL, clock INTEGER NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (category, symbol, interval, first)) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_NO_PLACE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class Unusable(Exception):
    """No file can be made at the path of the cache."""


def open_file(path):
    """A connection to a file of this form, which is made when it is missing or empty.

    Raises
    ------
    BadRequest
        It belongs to another program or another version. It is not touched.
    Unusable
        There is no such place, and none can be made.
    sqlite3.Error
        It is damaged, or busy for longer than `PATIENCE`, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_header(path)
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    except (OSError, RuntimeError, sqlite3.OperationalError) as error:
        raise Unusable(f"cache {path} cannot be used ({error})") from error
    try:
        if not _is_ours(db):
            with transaction(db):
                if not _is_ours(db):  # another process may have been quicker
                    for statement in _TABLES:
                        db.execute(statement)
    except BaseException as error:
        db.close()
        if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _NO_PLACE:
            raise Unusable(f"cache {path} cannot be used ({error})") from error
        raise
    return db


@contextmanager
def transaction(db, kind="IMMEDIATE"):
    """All of the block or nothing of it, also when the process is killed inside."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _is_ours(db):
    return db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


def _check_header(path):
    """Look at the first bytes only: SQLite itself might begin to repair a stranger's file."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb") as file:
        head = file.read(100)
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        raise BadRequest(f"cache {path} is no SQLite file, and is left alone: name another file")
    whose, version = (int.from_bytes(head[at : at + 4], "big") for at in (68, 60))
    if whose != APPLICATION:
        raise BadRequest(
            f"cache {path} belongs to another program (application id {whose:#010x}, not "
            f"{APPLICATION:#010x}), and is left alone: name another file"
        )
    if version != SCHEMA:
        raise BadRequest(
            f"cache {path} has version {version}, and this byzlib reads version {SCHEMA}: "
            "name another file"
        )
