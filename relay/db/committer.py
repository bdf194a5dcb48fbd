"""One thread that owns a connection and commits whatever waits in one transaction (one fsync)."""

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

_BATCH = 500  # operations in one transaction, about
_TURNS = 16  # of the event loop without a further order: none is about to come
_PATIENCE = 0.003  # seconds an order waits for others to go with it, at most
# A value that SQLite or JSON cannot hold (a lone surrogate, a huge number) is trouble of the one
# operation that brought it, not of the thread
_TROUBLE = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)


class _Order:
    """An operation and where its answer goes."""

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
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

    They come from one event loop at a time.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Own `db` from now on; `path` is for messages."""
        self._db = db
        self._path = path
        self._coming = deque[_Order]()  # not yet the thread's
        self._loop: asyncio.AbstractEventLoop | None = None  # where they come from
        self._lull = Lull(lambda: len(self._coming), self._hand_over, _TURNS, _PATIENCE)
        self._handing = threading.Lock()  # held while they are handed over
        self._inbox: SimpleQueue[list[_Order] | None] = SimpleQueue()
        self._batch: list[_Order] = []  # in hand
        self._ended = False
        self._thread = threading.Thread(target=self._work, name=f"committer {path.name}")
        self._thread.daemon = True
        self._thread.start()

    def run(self, operation: Operation[T]) -> "asyncio.Future[T]":
        """The operation's result once it is committed, or StorageError: then nothing was done.

        The operation is on its way: who stops waiting does not stop it. It may run twice, the
        first time in a transaction that is rolled back. Raises StorageClosedError after the end.
        """
        order = _Order(operation)
        self._coming.append(order)
        if len(self._coming) == 1 or order.loop is not self._loop:
            self._loop = order.loop  # the one before may have ended
            self._lull.begin()
        elif len(self._coming) >= _BATCH:
            self._hand_over()
        return order.answer

    def close(self) -> None:
        """End the thread after all that waits, and close the connection."""
        self._hand_over()
        self._inbox.put(None)
        self._thread.join()
        self._db.close()

    # A transaction costs nearly the same for one as for many, so orders are not the thread's until
    # what the loop has to do brings no more of them. `close` may come from another thread
    def _hand_over(self) -> None:
        with self._handing:
            if coming := [self._coming.popleft() for _ in range(len(self._coming))]:
                self._inbox.put(coming)
        if self._ended:
            self._refuse_rest()

    # However the thread ends, nobody waits for ever
    def _work(self) -> None:
        try:
            while self._take():
                self._commit(self._batch)
        except BaseException:
            log.critical("%s: the storage's thread has ended", self._path, exc_info=True)
        finally:
            self._ended = True
            self._refuse_rest()

    # Nothing taken: the end. What waits when the first orders come goes with them
    def _take(self) -> bool:
        self._batch = []
        orders = self._inbox.get()
        while orders is not None:
            self._batch += orders
            if len(self._batch) >= _BATCH or self._inbox.empty():
                break
            orders = self._inbox.get()
        if orders is None and self._batch:
            self._inbox.put(None)
        return bool(self._batch)

    # One operation that fails must not take the others with it: they are done again, one by one
    def _commit(self, batch: list[_Order]) -> None:
        error = self._transact(batch)
        alone = error is not None and len(batch) > 1 and not _is_busy(error)
        for order in batch:
            order.error = self._transact([order]) if alone else error
        _answer(batch)

    # On a full disk: once the journal is in the database, its room serves to end mail
    def _make_room(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _transact(self, batch: list[_Order]) -> StorageError | None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for order in batch:
                order.result = order.operation(self._db)
            self._db.execute("COMMIT")
        except StorageError as error:
            self._roll_back()
            return error
        except Exception as error:  # noqa: BLE001 - an operation may fail alone, the thread not
            self._roll_back()
            return self._failure(error)
        return None

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
        _answer(rest)


# Another process holds the database: the operations alone would each wait as long again
def _is_busy(error: StorageError) -> bool:
    return getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _answer(orders: list[_Order]) -> None:
    for loop in {order.loop for order in orders}:
        replies = [order for order in orders if order.loop is loop]
        try:
            loop.call_soon_threadsafe(_reply_all, replies)
        except RuntimeError:
            continue  # the loop has ended; nobody waits


def _reply_all(orders: list[_Order]) -> None:
    for order in orders:
        order.reply()
