"""Which event loop a serving process runs on: uvloop's, or asyncio's own."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any


def run(work: Coroutine[Any, Any, None], loop: str) -> None:
    """Run to the end, as asyncio.run does; `loop` is server.loop."""
    with asyncio.Runner(loop_factory=_factory(loop)) as runner:
        runner.run(work)


# "auto" is what cost less on the whole, where it is to be had: see docs/performance.md
def _factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "asyncio" or (loop == "auto" and not find_spec("uvloop")):
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
