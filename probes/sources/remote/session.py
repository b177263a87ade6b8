"""One session with an `ebpftop serve`, from the start of the process (ssh) to its end.

Waiting is bounded by `asyncio.timeout` here: `wait_for` may swallow a cancellation if its result
comes in the same moment; then a task that is sent things without a pause never ends.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from itertools import count
from typing import Any

from probes.drop_rule import RuleError
from probes.errors import ProbeError, Unsupported
from probes.model import Hook
from probes.recording.codec import MOST_CELLS, Malformed
from probes.recording.encoder import Tick
from probes.sources.remote import protocol, ssh
from probes.sources.remote.ssh import SshCommand
from probes.units import printable

ANSWER_SECONDS = 60.0
"""Seconds that an answer may take: to compile and attach there."""
GONE = 15.0
"""Seconds without a message after which the connection counts as cut.

A ping is answered at once.
"""
LEAVING = 1.2
"""Seconds that detaching there may take before ssh is ended; it goes on there without us."""
MOST_CHATTER = 1 << 16
"""Bytes that a login shell may print before ebpftop's greeting."""
UNREAD, MOST_ASKED = 1 << 18, 256
"""Bytes of requests that may wait for ssh to take them, and requests without an answer.

With more, nobody is there.
"""
_KEPT_WORDS, _MOST_WORDS = 50, 200
"""Lines on stderr that are kept; those that are passed on, and read as fast as they come."""
_LONGEST_WORDS = 2000
"""Bytes of a line that are kept."""
_SHARE = 3
"""Pause after a moment, as a multiple of the time that reading it took: the screen has its turn."""
_LITTLE = 0.001
"""Least seconds after a message that is no moment: some hosts may send nothing else."""
_APART, _AT_ONCE = 0.1, 8
"""Seconds from one moment to the next, as at the shortest interval; so many may come at once."""


class Disconnected(ProbeError):
    """The session is over."""


class RemoteSession:
    """A session with an `ebpftop serve`.

    hooks, recall, cells: as for `protocol.Incoming`. take: gets each moment. ask: whether the user
    may be asked something on the terminal. words: gets what the process says on stderr before the
    session begins.
    """

    def __init__(
        self,
        way: SshCommand,
        command: tuple[str, ...],
        hooks: MutableMapping[str, Hook],
        recall: Callable[[str], Hook | None],
        take: Callable[[Tick], None],
        *,
        cells: int = MOST_CELLS,
        ask: bool,
        words: Callable[[str], None],
    ) -> None:
        self._way, self._command, self._take = way, command, take
        self._ask, self._tell_words = ask, words
        self._incoming = protocol.Incoming(hooks, recall, cells)
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[tuple[str, ...]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._said: deque[str] = deque(maxlen=_KEPT_WORDS)
        self._begun = False
        self._due = 0.0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self, **asked: Any) -> protocol.Hello:
        """Begin; return whose numbers come from now on. Raises ProbeError."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=1 << 20,
                env={**os.environ, **({} if self._ask else self._way.own)},
                # A session of its own has no terminal to ask on, nor to be told ^C or HUP by.
                start_new_session=not self._ask,
            )
        except OSError as failed:
            raise ProbeError(f"{self._command[0]} cannot be run: {failed.strerror}") from None
        self._tasks.append(asyncio.create_task(self._listen_to_words()))
        begun = self._question(do="begin", **asked)
        try:  # a user at a prompt may take as long as they like
            async with asyncio.timeout(None if self._ask else 3 * ssh.CONNECT_SECONDS):
                await self._read_greeting()
                async with asyncio.timeout(2 * GONE):  # the user is asked nothing now
                    hello = await self._read_hello()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._why() from None
        except TimeoutError:
            raise ProbeError(f"{self._way.name} does not answer") from None
        except Malformed as wrong:
            raise ProbeError(
                f"{self._way.name} gave an answer that is not valid: {wrong}"
            ) from None
        except ProbeError:
            raise
        except Exception as unexpected:  # whatever it is, it comes from there
            what = type(unexpected).__name__
            raise ProbeError(
                f"{self._way.name} gave an answer that is not valid ({what})"
            ) from unexpected
        self._begun = True
        self._tasks.append(asyncio.create_task(self._listen()))
        try:
            await self._answer(begun, ANSWER_SECONDS)
        except RuleError as wrong:
            raise ProbeError(f"{self._way.name}: {wrong}") from None
        return hello

    # -- reading -------------------------------------------------------------------------------

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    async def _read_greeting(self) -> None:
        """Read the greeting, after what a login shell prints.

        Raises Unsupported for another version.
        """
        seen = 0
        while seen < MOST_CHATTER:
            try:
                line = await self._stdout.readline()
            except ValueError:  # longer than any line
                break
            if not line:
                raise asyncio.IncompleteReadError(b"", None)
            seen += len(line)
            place = line.find(protocol.MAGIC)  # what is printed last may have no newline
            if place < 0:
                continue
            version = line[place + len(protocol.MAGIC) :].strip().decode("ascii", "replace")
            if version == str(protocol.VERSION):
                return
            raise Unsupported(
                f"the ebpftop on {self._way.name} speaks version {printable(version)[:9]} of the "
                f"protocol, the one here version {protocol.VERSION}",
                remedy="Update the older one.",
            )
        raise ProbeError(f"{self._way.name} did not start ebpftop: it printed something else")

    async def _read_hello(self) -> protocol.Hello:
        kind, payload = await self._message()
        if kind != protocol.HELLO:
            raise Malformed("the greeting lacks the host")
        return protocol.read_hello(payload)

    async def _message(self) -> tuple[bytes, bytearray]:
        kind, length = protocol.HEAD.unpack(await self._octets(protocol.HEAD.size))
        if length > (self._incoming.most if kind == protocol.MOMENT else protocol.MOST_TOLD):
            raise Malformed("a message is too large")
        return kind, await self._octets(length)

    async def _octets(self, number: int) -> bytearray:
        """Read so many bytes; over a slow link they may take long, as long as some come."""
        data = bytearray()
        while len(data) < number:
            async with asyncio.timeout(GONE):
                more = await self._stdout.read(number - len(data))
            if not more:
                raise asyncio.IncompleteReadError(bytes(data), number)
            data += more
        return data

    async def _listen(self) -> None:
        cut: ProbeError
        try:
            while True:
                await self._hear(*await self._message())
        except TimeoutError:
            cut = Disconnected(f"no message came for {GONE:.0f} s")
        except Malformed as wrong:
            cut = Disconnected(f"a message was not valid: {wrong}")
        except (asyncio.IncompleteReadError, ConnectionError):
            cut = Disconnected((await self._why()).why)
        except Exception as unexpected:  # whatever it is, it comes from there, and ends no screen
            cut = Disconnected(f"a message was not valid ({type(unexpected).__name__})")
        self._end_with(cut)

    async def _hear(self, kind: bytes, payload: bytearray) -> None:
        await asyncio.sleep(0)  # what is there already is read without a turn for others
        begin = time.monotonic()
        if kind == protocol.MOMENT:
            self._take(self._incoming.moment(payload))
            await self._pause(time.monotonic() - begin)
            return
        if kind == protocol.ANSWER:
            self._answered(protocol.read_json(payload))
        await asyncio.sleep(_LITTLE + _SHARE * (time.monotonic() - begin))

    async def _pause(self, took: float) -> None:
        """Pause after a moment: no screen has to keep up with more.

        took: seconds that reading it took. What is not read here waits there, and is left out.
        """
        now = time.monotonic()
        self._due = max(self._due + _APART, now - _AT_ONCE * _APART)
        await asyncio.sleep(min(max(_SHARE * took, self._due - now, 0.0), 2.0))

    def _end_with(self, cut: ProbeError) -> None:
        if not self._over.done():
            self._over.set_exception(cut)
            self._over.exception()  # somebody will ask, or nobody wants to know
        for waiting in tuple(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(cut)
                waiting.exception()
        self._waiting.clear()

    async def _listen_to_words(self) -> None:
        """Read what ssh, the shell and ebpftop there say, line by line."""
        assert self._process is not None
        assert self._process.stderr is not None
        for number in count():
            if number > _MOST_WORDS:
                await asyncio.sleep(0.01)  # nobody reads that much
            if number == _MOST_WORDS and not self._begun:
                _kill(self._process)  # no banner is as long
            try:
                line = await self._process.stderr.readline()
            except ValueError:
                continue
            if not line:
                return
            text = printable(line[:_LONGEST_WORDS].decode(errors="replace").strip())
            if text:
                self._said.append(text)
                if not self._begun and self._ask and number < _MOST_WORDS:
                    self._tell_words(text)

    async def _why(self) -> ProbeError:
        """Return why it ended."""
        assert self._process is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await _end_of(self._process)
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._tasks[0])
        return ssh.why(self._way.name, self._process.returncode, tuple(self._said))

    # -- asking --------------------------------------------------------------------------------

    def tell(self, **what: Any) -> None:
        """Send a request without waiting for the answer."""
        self._question(**what).add_done_callback(lambda done: done.cancelled() or done.exception())

    async def ask(self, **what: Any) -> tuple[str, ...]:
        """Send a request and return its answer. Raises what refused it, or Cut."""
        try:
            return await self._answer(self._question(**what), ANSWER_SECONDS)
        except RuleError as wrong:
            if "rule" in what:
                raise
            raise ProbeError(str(wrong)) from None  # no rule was asked for

    def _question(self, **what: Any) -> asyncio.Future[tuple[str, ...]]:
        future: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        if self._over.done():
            future.set_exception(self._over.exception() or Disconnected("the session has ended"))
            return future
        assert self._process is not None
        assert self._process.stdin is not None
        unread = self._process.stdin.transport.get_write_buffer_size()
        if unread > UNREAD or len(self._waiting) >= MOST_ASKED:
            future.set_exception(Disconnected("requests are not read there"))
            return future
        number = next(self._numbers)
        self._waiting[number] = future
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        self._process.stdin.write(protocol.request(**what, id=number))
        return future

    async def _answer(
        self, question: asyncio.Future[tuple[str, ...]], patience: float
    ) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(patience):
                return await question
        except TimeoutError:
            raise ProbeError(f"{self._way.name} does not answer") from None

    def _answered(self, told: Mapping[str, Any]) -> None:
        number = told.get("id")
        if not isinstance(number, int):
            raise Malformed("an answer has no number")
        waiting = self._waiting.pop(number, None)
        if waiting is None or waiting.done():
            return
        error = protocol.read_error(told)
        if error is None:
            waiting.set_result(protocol.read_result(told))
        else:
            waiting.set_exception(error)

    async def cut_within(self, seconds: float) -> None:
        """Wait so long; raise Cut at once when the session is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._over)

    # -- ending --------------------------------------------------------------------------------

    async def end(self) -> list[str]:
        """End it; everything attached there is detached. Return what was said at the end."""
        process = self._process
        if process is None:
            return []
        said = len(self._said)
        assert process.stdin is not None
        try:
            process.stdin.close()
            if not self._begun and process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()  # it may be asking for a password, with the echo off
            for task in self._tasks[1:]:
                task.cancel()
            await asyncio.gather(*self._tasks[1:], return_exceptions=True)
            self._end_with(Disconnected("the session has ended"))
            try:
                async with asyncio.timeout(LEAVING):
                    await self._drained(process)
            except TimeoutError:
                _kill(process)
                with suppress(TimeoutError):  # not while it is in the kernel
                    async with asyncio.timeout(LEAVING):
                        await _end_of(process)
            self._tasks[0].cancel()
            with suppress(ConnectionError, TimeoutError):  # a child of ssh may hold the pipe
                async with asyncio.timeout(0.5):
                    await process.stdin.wait_closed()
        finally:
            # asyncio does it by itself only once all pipes have ended, and stderr may not.
            transport: asyncio.BaseTransport = vars(process)["_transport"]
            transport.close()
            await asyncio.sleep(0)  # it does so in the loop's next turn
        return list(self._said)[said:]

    async def _drained(self, process: asyncio.subprocess.Process) -> None:
        """Wait for its end. What still comes is read, or it could not end."""
        while await self._stdout.read(1 << 16):
            pass
        await _end_of(process)
        # A master connection that ssh leaves behind (ControlPersist) keeps stderr open.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(self._tasks[0])


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _end_of(process: asyncio.subprocess.Process) -> None:
    """Wait for a process. asyncio's own waits for the pipes, too, which a child of ssh may hold."""
    while process.returncode is None:
        await asyncio.sleep(0.01)
