"""Readings: everything asked for at the same moment is read in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from probes.kernel.tick_cache import one_reading
from probes.ladder.attachment import Attachment
from probes.model import Sample

Samples = tuple[Sample, ...]
Reads = asyncio.Future[Samples]
Read = Callable[[], list[Samples]]


class Readings:
    """The reader of attachments. submit: runs a call in a thread. tell: reports what went wrong."""

    def __init__(
        self,
        submit: Callable[[Read], asyncio.Future[list[Samples]]],
        tell: Callable[[str, BaseException], None],
    ) -> None:
        self._submit, self._tell = submit, tell
        self._asked: list[tuple[list[Attachment], Reads]] = []

    def of(self, standing: list[Attachment]) -> Reads:
        """Return their samples.

        Waking a thread costs more than reading a map, so one thread reads for all that ask at this
        moment.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._read_asked)
        future: Reads = loop.create_future()
        self._asked.append((standing, future))
        return future

    def _read_asked(self) -> None:
        asked, self._asked = self._asked, []
        # Always in one order, so that what is asked once is as old in each reading as in the last.
        asked.sort(key=lambda one: one[0][0].hook.order)
        try:
            work = self._submit(partial(_read_all, [standing for standing, _ in asked]))
        except Exception as raised:  # no memory
            self._tell("reading", raised)
            _answer(asked, None)
        else:
            work.add_done_callback(lambda done: _answer(asked, done))


def _read_all(asked: Iterable[Iterable[Attachment]]) -> list[Samples]:
    with one_reading():
        return [tuple([a.read() for a in attachments]) for attachments in asked]


def _answer(
    asked: list[tuple[list[Attachment], Reads]], done: asyncio.Future[list[Samples]] | None
) -> None:
    """Deliver the samples.

    Done: None, and the exception, where nothing was read: the previous ones.
    """
    whole = done is not None and not done.cancelled() and done.exception() is None
    for place, (standing, future) in enumerate(asked):
        if future.done():
            continue  # nobody waits for it any more
        if done is not None and done.cancelled():
            future.cancel()
        elif done is not None and whole:
            future.set_result(done.result()[place])
        else:
            future.set_result(tuple([a.unread() for a in standing]))
