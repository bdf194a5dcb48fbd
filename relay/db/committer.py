"""Transactions of many operations each, and a thread that syncs them to disk, one sync for each."""

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from relay.db.connection import storage_error
from relay.errors import StorageClosedError, StorageError, StorageFullError
from relay.lull import Lull

log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_BATCH = 500  # operations in one transaction
_LIGHT = 64  # of those at most the event loop does itself: that holds it up by 3 to 8 ms
_TURNS = 16  # of the event loop without a further order: none is about to come
_PATIENCE = 0.012  # seconds an order waits for others to go with it, at most
# A value that SQLite or JSON cannot hold (a lone surrogate, a huge number) is trouble of the one
# operation that brought it, not of the thread
_TROUBLE = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)


class _Order:
    """An operation and where its answer goes."""

    def __init__(self, operation: Operation[Any], light: bool) -> None:
        self.operation = operation
        self.light = light
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: StorageError | None = None

    def reply(self) -> None:
        if self.answer.done():  # the asker has gone
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class Committer:
    """Runs operations on its connection in the order they come, many to a transaction.

    They come from one event loop at a time. A transaction is the thread's, all of it or only its
    COMMIT: while it has one, what comes waits for the next.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Own `db` from now on; `path` is for messages."""
        self._db = db
        self._path = path
        # the event loop does not wait for another process's transaction, the thread does
        (self._patience,) = db.execute("PRAGMA busy_timeout").fetchone()
        db.execute("PRAGMA busy_timeout = 0")
        self._coming = deque[_Order]()
        self._loop: asyncio.AbstractEventLoop | None = None  # where they come from
        self._lull = Lull(lambda: len(self._coming), self._hand_over, _TURNS, _PATIENCE)
        self._inbox: SimpleQueue[list[_Order] | None] = SimpleQueue()
        self._batch: list[_Order] = []  # in hand
        self._begun = False  # its operations are done, all but the COMMIT
        self._at_work = False  # the thread has a transaction, or will take one
        self._handing = threading.Lock()  # held while they are handed over, and at the end
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._work, name=f"committer {path.name}")
        self._thread.daemon = True
        self._thread.start()

    def run(self, operation: Operation[T], *, light: bool = False) -> "asyncio.Future[T]":
        """The operation's result once it is committed, or StorageError: then nothing was done.

        The operation is on its way: who stops waiting does not stop it. It may run twice, the
        first time in a transaction that is rolled back. `light`: it takes 0.1 ms at most, as it
        writes some rows and reads none that have long been on disk; so the event loop may do it.
        Raises StorageClosedError after the end.
        """
        order = _Order(operation, light)
        self._coming.append(order)
        known, self._loop = self._loop, order.loop  # the one before may have ended
        if self._at_work:
            return order.answer
        if len(self._coming) == 1 or order.loop is not known:
            self._lull.begin()
        elif len(self._coming) >= _BATCH:
            self._hand_over()
        return order.answer

    def close(self) -> None:
        """End the thread after all that waits, and close the connection."""
        with self._handing:
            self._closing = True
            self._inbox.put(self._next(len(self._coming)))
            self._inbox.put(None)
        self._thread.join()
        self._db.close()

    # A transaction costs nearly the same for one as for many, so none is begun until what the loop
    # has to do brings no more orders. `close` may come from another thread
    def _hand_over(self) -> None:
        with self._handing:
            if self._closing or self._ended:
                self._inbox.put(self._next(len(self._coming)))
            elif self._coming and not self._at_work:
                self._at_work = True
                if len(self._coming) <= _LIGHT and all(order.light for order in self._coming):
                    self._begin(self._next(_LIGHT))
                else:
                    self._inbox.put(self._next(_BATCH))
        if self._ended:
            self._refuse_rest()

    def _next(self, most: int) -> list[_Order]:
        return [self._coming.popleft() for _ in range(min(most, len(self._coming)))]

    # Each statement gives Python's lock away. On a thread while the loop is busy that makes both of
    # them wait for each other again and again: it costs more than the statement
    def _begin(self, orders: list[_Order]) -> None:
        try:
            with suppress(Exception):  # the thread does it anew, and finds out whose trouble it is
                self._db.execute("BEGIN IMMEDIATE")
                for order in orders:
                    order.result = order.operation(self._db)
                self._begun = True
        finally:
            if not self._begun:
                self._roll_back()
            self._inbox.put(orders)

    # However the thread ends, nobody waits for ever
    def _work(self) -> None:
        try:
            while (orders := self._inbox.get()) is not None:
                if orders:
                    self._batch = orders
                    self._commit(orders)
        except BaseException:
            log.critical("%s: the storage's thread has ended", self._path, exc_info=True)
        finally:
            with self._handing:
                self._ended, self._at_work = True, False
            self._refuse_rest()

    # One operation that fails must not take the others with it: they are done again, one by one
    def _commit(self, batch: list[_Order]) -> None:
        error = self._transact([] if self._begun else batch)
        alone = error and len(batch) > 1 and not _is_busy(error.__cause__)
        for order in batch:
            order.error = self._transact([order]) if alone else error
        self._at_work = False
        self._answer(batch)
        self._batch = []

    # On a full disk: once the journal is in the database, its room serves to end mail
    def _make_room(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    # What has begun is only ended here
    def _transact(self, orders: list[_Order]) -> StorageError | None:
        begun, self._begun = self._begun, False
        try:
            if not begun:
                self._begin_in_turn()
            for order in orders:
                order.result = order.operation(self._db)
            self._end()
        except StorageError as error:
            self._roll_back()
            return error
        except Exception as error:  # noqa: BLE001 - an operation may fail alone, the thread not
            self._roll_back()
            return self._failure(error)
        return None

    # `commit` gives Python's lock away once, `execute` several times
    def _end(self) -> None:
        if not self._db.in_transaction:  # an operation has ended it, and `commit` would be silent
            raise sqlite3.OperationalError("the transaction is lost")
        self._db.commit()

    def _begin_in_turn(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            self._db.execute(f"PRAGMA busy_timeout = {self._patience}")
            try:
                self._db.execute("BEGIN IMMEDIATE")
            finally:
                self._db.execute("PRAGMA busy_timeout = 0")

    # A fault of our own in one operation is logged, and the thread goes on to serve the others
    def _failure(self, error: Exception) -> StorageError:
        failure = storage_error(self._path, error)
        if isinstance(failure, StorageFullError):
            self._make_room()
        if not isinstance(error, _TROUBLE):
            log.error("%s: an operation failed unforeseen", self._path, exc_info=error)
            failure = StorageError(f"{self._path}: an internal error; the relay's log tells more")
        failure.__cause__ = error
        return failure

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite has rolled back by itself

    def _refuse_rest(self) -> None:
        rest, self._batch = self._batch, []
        with suppress(Empty):  # a loop's thread may be here, too
            while True:
                rest += self._inbox.get_nowait() or []
        for order in rest:
            order.error = StorageClosedError(f"{self._path}: the storage is closed")
        self._answer(rest)

    # As little as can be: the thread has Python's lock meanwhile
    def _answer(self, orders: list[_Order]) -> None:
        if self._loop:
            with suppress(RuntimeError):  # it has ended: nobody waits
                self._loop.call_soon_threadsafe(self._land, orders)

    def _land(self, orders: list[_Order]) -> None:
        for order in orders:
            if order.loop is self._loop:  # one before has ended
                order.reply()
        if self._coming and not self._at_work:
            self._lull.begin()


# Another process holds the database: the operations alone would each wait as long again
def _is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
