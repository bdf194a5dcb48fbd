"""One thread that owns a connection and commits whatever waits in one transaction (one fsync)."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from relay.errors import StorageError

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_BATCH = 500  # operations in one transaction


class _Order:
    """An operation and where its answer goes."""

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: Exception | None = None

    def reply(self) -> None:
        if self.answer.done():  # the asker has gone
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class Committer:
    """Runs operations on its connection in the order they come, many to a transaction."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Own `db` from now on; `path` is for messages."""
        self._db = db
        self._path = path
        self._inbox: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"committer {path.name}")
        self._thread.daemon = True
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result once it is committed. Raises StorageError: nothing was done."""
        order = _Order(operation)
        self._inbox.put(order)
        result: T = await order.answer
        return result

    def close(self) -> None:
        """End the thread after all that waits, and close the connection."""
        self._inbox.put(None)
        self._thread.join()
        self._db.close()

    def _work(self) -> None:
        while (first := self._inbox.get()) is not None:
            batch = [first]
            more = True
            while more and len(batch) < _BATCH:
                try:
                    order = self._inbox.get_nowait()
                except Empty:
                    break
                if order is None:
                    self._inbox.put(None)
                    more = False
                else:
                    batch.append(order)
            self._commit(batch)

    # One operation that fails must not take the others with it: they are done again, one by one
    def _commit(self, batch: list[_Order]) -> None:
        error = self._transact(batch)
        if error and len(batch) > 1:
            for order in batch:
                self._transact([order])
        elif error:
            batch[0].error = error
        for loop in {order.loop for order in batch}:
            replies = [order for order in batch if order.loop is loop]
            try:
                loop.call_soon_threadsafe(_reply_all, replies)
            except RuntimeError:
                continue  # the loop has ended; nobody waits

    def _transact(self, batch: list[_Order]) -> Exception | None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for order in batch:
                order.result = order.operation(self._db)
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError, StorageError) as error:
            self._roll_back()
            kind = error if isinstance(error, StorageError) else None
            failure = kind or StorageError(f"{self._path}: {error}")
            for order in batch:
                order.error = failure
            return failure
        for order in batch:
            order.error = None
        return None

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite has rolled back by itself


def _reply_all(orders: list[_Order]) -> None:
    for order in orders:
        order.reply()
