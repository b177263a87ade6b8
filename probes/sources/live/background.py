"""Background work, and notices of what goes wrong in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from probes.errors import as_refusal

MOST_NOTICES = 100
"""Different sentences about background errors that one run reports."""

Work = Coroutine[None, None, None]


class BackgroundTasks:
    """Tasks of an event loop. pause: seconds until work that failed is begun again.

    notices: sentences for the user, the oldest first.
    """

    def __init__(self, pause: Callable[[], float], notices: list[str]) -> None:
        self._pause, self.notices = pause, notices
        self.tasks: set[asyncio.Task[None]] = set()
        self._said: set[str] = set()

    def spawn(self, work: Work) -> None:
        """Run work; what it raises is reported."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (raised := task.exception()) is not None:
            self.tell("background work", raised)

    def keep(self, what: str, work: Callable[[], Work]) -> None:
        """Run work until the end: an exception is reported once, and the work is begun again."""
        self.spawn(self._always(what, work))

    def tell(self, what: str, raised: BaseException) -> None:
        """Report once what went wrong."""
        why = as_refusal(raised, what).why
        if why not in self._said and len(self._said) < MOST_NOTICES:
            self._said.add(why)
            self.notices.append(why)

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()

    async def _always(self, what: str, work: Callable[[], Work]) -> None:
        while True:
            try:
                await work()
                return
            except Exception as raised:
                self.tell(what, raised)
            await asyncio.sleep(self._pause())
