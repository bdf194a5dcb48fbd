"""What the operator does to a queue from another process: look, retry, hold, release, drop."""

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from relay.db import jobs
from relay.db.connection import open_database, storage_errors
from relay.db.job_row import COLUMNS, history_of, job_key, record_of
from relay.queue.job import Attempted, Last, QueueRecord
from relay.queue.selection import EVERYTHING, Selection, Tally

_PAGE = 1000  # jobs at a time: no transaction stays open while somebody reads a pager
_HOST = "iif(json_valid(last), json_extract(last, '$.host'), NULL)"
_FITS = f"""
  (:domain IS NULL OR domain = :domain) AND (:mx IS NULL OR {_HOST} = :mx)
  AND (:reason IS NULL OR reason = :reason) AND (:state IS NULL OR state = :state)
  AND (:sender IS NULL OR lower(coalesce(sender, '')) = lower(:sender))
  AND (:created_before IS NULL OR created < :created_before)"""
_BEHIND = f"""
  FROM job WHERE (message_id, number) > (:after_message, :after_number) AND {_FITS}
  ORDER BY message_id, number LIMIT {_PAGE}"""
_CALLED = f"""
  FROM job
  WHERE (message_id = :name OR (message_id, number) = (:named_message, :named_number)) AND {_FITS}
  ORDER BY message_id, number"""
_ROWS = f"SELECT {COLUMNS}"
_KEYS = "SELECT message_id, number"
_GROUPS = {"reason": "coalesce(reason, '')", "domain": "domain", "mx": f"coalesce({_HOST}, '')"}
_SUMS = """
  SELECT {}, count(*), sum(iif(json_valid(recipients), json_array_length(recipients), 0)),
         min(created)"""
_SUMMED = f"""
  FROM job WHERE {_FITS} GROUP BY 1"""
_LATEST = f"""
  {_ROWS} FROM job WHERE domain = ? AND json_valid(last)
  ORDER BY json_extract(last, '$.time') DESC LIMIT 1"""
_START = ("", 0)

Row = tuple[Any, ...]
Key = tuple[str, int]
Values = Mapping[str, object] | Sequence[object]
Change = Callable[[sqlite3.Connection, Key], int]


class Desk:
    """The spools of a storage directory as one queue; a running relay sees changes in a second."""

    def __init__(self, directory: Path) -> None:
        """Nothing is opened before it is asked for."""
        self._directory = directory

    def jobs(
        self, selection: Selection = EVERYTHING, after: str | None = None
    ) -> Iterator[QueueRecord]:
        """Every job that fits, the oldest message first; with `after` those behind that job."""
        with ExitStack() as end:
            spools = [end.enter_context(closing(_Spool(path))) for path in self._paths()]
            key = job_key(after) if after else _START
            pages = [spool.jobs(selection, key) for spool in spools]
            yield from map(record_of, heapq.merge(*pages, key=lambda row: row[:2]))

    def find(self, name: str, selection: Selection = EVERYTHING) -> list[QueueRecord]:
        """The jobs of a job id or a message id that fit."""
        return list(map(record_of, self._read(_ROWS + _CALLED, _called(name, selection))))

    def tally(self, by: str, selection: Selection = EVERYTHING) -> list[Tally]:
        """How many jobs fit, by "reason", "domain" or "mx"; most first, "" where there is none."""
        sums: dict[str, Tally] = {}
        query = _SUMS.format(_GROUPS[by]) + _SUMMED
        for row in self._read(query, asdict(selection)):
            one = Tally(*row)
            before = sums.get(one.value, Tally(one.value, 0, 0, one.oldest))
            sums[one.value] = Tally(
                one.value,
                before.jobs + one.jobs,
                before.recipients + one.recipients,
                min(before.oldest, one.oldest),
            )
        return sorted(sums.values(), key=lambda one: (-one.jobs, one.value))

    def next_attempt(self, domain: str) -> float | None:
        """When the next job of a recipient domain is due; None: none waits for its time."""
        query = "SELECT min(next_attempt) FROM job WHERE state = 'waiting' AND domain = ?"
        due = [time for (time,) in self._read(query, (domain,)) if time is not None]
        return min(due, default=None)

    def last_attempt(self, domain: str) -> Last | None:
        """The latest attempt at any job of a recipient domain; None before the first."""
        lasts = [record_of(row).last for row in self._read(_LATEST, (domain,))]
        return max((one for one in lasts if one), key=lambda one: one.time, default=None)

    def history(self, job_id: str) -> list[Attempted]:
        """How the job's attempts ended, the oldest first; of many only the last."""
        query = "SELECT history FROM job WHERE message_id = ? AND number = ?"
        found = self._read(query, job_key(job_id))
        return [one for (text,) in found for one in history_of(text)]

    def header(self, message_id: str) -> str:
        """The header of a message, of the first 64 KiB."""
        start = self.content(message_id, 65_536)
        return start.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")

    def content(self, message_id: str, limit: int) -> bytes:
        """The start of a message's content, at most `limit` octets; empty where there is none."""
        query = "SELECT substr(content, 1, ?) FROM message WHERE id = ?"
        return b"".join(bytes(start) for (start,) in self._read(query, (limit, message_id)))

    def retry(
        self, names: Sequence[str] | None, now: float, selection: Selection = EVERYTHING
    ) -> int:
        """Make waiting and held jobs due now; how many.

        Here and below: those of these job and message ids, or (None) of all, that fit.
        """
        return self._change(partial(_retry, now), names, selection)

    def hold(self, names: Sequence[str] | None, selection: Selection = EVERYTHING) -> int:
        """Let jobs rest until they are released, active ones from their attempt's end; how many."""
        return self._change(_hold, names, selection)

    def release(self, names: Sequence[str] | None, selection: Selection = EVERYTHING) -> int:
        """Let held jobs go on as they were scheduled; how many."""
        return self._change(_release, names, selection)

    def drop(self, names: Sequence[str] | None, selection: Selection = EVERYTHING) -> int:
        """End jobs without a notice, active ones when their attempt ends; how many."""
        return self._change(_drop, names, selection)

    def _change(self, change: Change, names: Sequence[str] | None, selection: Selection) -> int:
        wanted = [None] if names is None else names
        return sum(
            spool.change(change, name, selection) for spool in self._spools() for name in wanted
        )

    def _read(self, query: str, values: Values) -> list[Any]:
        return [row for spool in self._spools() for row in spool.read(query, values)]

    def _spools(self) -> Iterator["_Spool"]:
        for path in self._paths():
            with closing(_Spool(path)) as spool:
                yield spool

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob("spool-*.db"))


class _Spool:
    """One open database of the queue; every trouble with it is a StorageError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_database(path, "spool", durable=True)

    def close(self) -> None:
        self._db.close()

    def read(self, query: str, values: Values) -> list[Any]:
        with storage_errors(self._path):
            return self._db.execute(query, values).fetchall()

    def jobs(self, selection: Selection, after: Key) -> Iterator[Row]:
        while rows := self.read(_ROWS + _BEHIND, _behind(after, selection)):
            yield from rows
            after = rows[-1][:2]

    # Page by page, so that a running relay never waits long for its turn to write
    def change(self, change: Change, name: str | None, selection: Selection) -> int:
        total, after = 0, _START
        while True:
            with storage_errors(self._path):
                self._db.execute("BEGIN IMMEDIATE")
                keys = self._keys(name, selection, after)
                total += sum(change(self._db, key) for key in keys)
                self._db.execute("COMMIT")
            if name is not None or len(keys) < _PAGE:
                return total
            after = keys[-1]

    def _keys(self, name: str | None, selection: Selection, after: Key) -> list[Key]:
        if name is not None:
            return self.read(_KEYS + _CALLED, _called(name, selection))
        return self.read(_KEYS + _BEHIND, _behind(after, selection))


def _behind(key: Key, selection: Selection) -> Values:
    return {**asdict(selection), "after_message": key[0], "after_number": key[1]}


# Nothing that is stored has a name that is no ASCII, nor could SQLite be asked for each of them
def _called(name: str, selection: Selection) -> Values:
    message_id, number = job_key(name)
    plain = name if name.isascii() else ""
    named = {"name": plain, "named_message": message_id, "named_number": number}
    return {**asdict(selection), **named}


def _retry(now: float, db: sqlite3.Connection, key: Key) -> int:
    update = (
        "UPDATE job SET state = 'waiting', next_attempt = ?"
        " WHERE message_id = ? AND number = ? AND state != 'active'"
    )
    return db.execute(update, (now, *key)).rowcount


def _hold(db: sqlite3.Connection, key: Key) -> int:
    update = (
        "UPDATE job SET on_hold = (state = 'active'), state = iif(state = 'active', state, 'held')"
        " WHERE message_id = ? AND number = ? AND state != 'held' AND NOT on_hold"
    )
    return db.execute(update, key).rowcount


def _release(db: sqlite3.Connection, key: Key) -> int:
    update = (
        "UPDATE job SET on_hold = 0, state = iif(state = 'held', 'waiting', state)"
        " WHERE message_id = ? AND number = ? AND (state = 'held' OR on_hold)"
    )
    return db.execute(update, key).rowcount


def _drop(db: sqlite3.Connection, key: Key) -> int:
    active = "UPDATE job SET dropped = 1 WHERE message_id = ? AND number = ? AND state = 'active'"
    if not db.execute(active, key).rowcount:
        jobs.end(f"{key[0]}.{key[1]}", db)
    return 1
