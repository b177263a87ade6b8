"""One conversation with an `ebpftop serve`, from the start of the process (ssh) to its end."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from itertools import count
from typing import Any

from probes.errors import ProbeError, Unsupported
from probes.model import Hook
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.source import Host
from probes.sources.remote import protocol, ssh
from probes.sources.remote.ssh import Way
from probes.units import printable

PATIENCE = 60.0
"""Seconds that an answer may take: to compile and attach there."""
GONE = 15.0
"""Seconds without a word after which the connection counts as cut; a ping is answered at once."""
LEAVING = 1.2
"""Seconds that detaching there may take before ssh is ended; it goes on there without us."""
MOST_CHATTER = 1 << 16
"""Bytes that a login shell may print before ebpftop speaks."""
_KEPT_WORDS = 50


class Cut(ProbeError):
    """The conversation is over."""


class Call:
    """hooks, recall: as for `protocol.Incoming`. take: gets each moment. ask: whether the user may
    be asked something on the terminal. words: gets what the process says on stderr before the
    conversation begins."""

    def __init__(
        self,
        way: Way,
        command: tuple[str, ...],
        hooks: MutableMapping[str, Hook],
        recall: Callable[[str], Hook | None],
        take: Callable[[Tick], None],
        *,
        ask: bool,
        words: Callable[[str], None],
    ) -> None:
        self._way, self._command, self._take = way, command, take
        self._ask, self._tell_words = ask, words
        self._incoming = protocol.Incoming(hooks, recall)
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[tuple[str, ...]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._said: deque[str] = deque(maxlen=_KEPT_WORDS)
        self._begun = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self, **asked: Any) -> Host:
        """Whose numbers come from now on. Raises ProbeError."""
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
        try:  # a person at a prompt may take as long as they like
            async with asyncio.timeout(None if self._ask else 3 * ssh.PATIENCE):
                await self._read_greeting()
                host, self.version = await self._read_hello()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._why() from None
        except TimeoutError:
            raise ProbeError(f"{self._way.name} does not answer") from None
        except Malformed as wrong:
            raise ProbeError(f"{self._way.name} is not understood: {wrong}") from None
        self._begun = True
        self._tasks.append(asyncio.create_task(self._listen()))
        await self._answer(begun, PATIENCE)
        return host

    # -- reading -------------------------------------------------------------------------------

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    async def _read_greeting(self) -> None:
        """Over what a login shell prints. Raises Unsupported for another version."""
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
                f"the ebpftop on {self._way.name} speaks version {printable(version)[:9]} of this"
                f" connection's format, the one here {protocol.VERSION}",
                remedy="Bring the older one up to date.",
            )
        raise ProbeError(f"what answers on {self._way.name} is no ebpftop: it prints other things")

    async def _read_hello(self) -> tuple[Host, str]:
        kind, payload = await self._message()
        if kind != protocol.HELLO:
            raise Malformed("it does not say whose numbers these are")
        return protocol.read_hello(payload)

    async def _message(self) -> tuple[bytes, bytes]:
        kind, length = protocol.HEAD.unpack(await self._octets(protocol.HEAD.size))
        if length > protocol.MOST_MESSAGE:
            raise Malformed("a message is larger than any can be")
        return kind, await self._octets(length)

    async def _octets(self, number: int) -> bytes:
        """So many bytes; over a slow link they may take long, as long as some come."""
        data = bytearray()
        while len(data) < number:
            more = await asyncio.wait_for(self._stdout.read(number - len(data)), GONE)
            if not more:
                raise asyncio.IncompleteReadError(bytes(data), number)
            data += more
        return bytes(data)

    async def _listen(self) -> None:
        cut: ProbeError
        try:
            while True:
                kind, payload = await self._message()
                if kind == protocol.MOMENT:
                    self._take(self._incoming.moment(payload))
                elif kind == protocol.ANSWER:
                    self._answered(protocol.read_json(payload))
        except TimeoutError:
            cut = Cut(f"nothing was heard for {GONE:.0f} s")
        except Malformed as wrong:
            cut = Cut(f"what came was not understood: {wrong}")
        except (asyncio.IncompleteReadError, ConnectionError):
            cut = Cut((await self._why()).why)
        self._end_with(cut)

    def _end_with(self, cut: ProbeError) -> None:
        if not self._over.done():
            self._over.set_exception(cut)
            self._over.exception()  # somebody will ask, or nobody wants to know
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(cut)
                waiting.exception()
        self._waiting.clear()

    async def _listen_to_words(self) -> None:
        """What ssh, the shell and ebpftop there say, line by line."""
        assert self._process is not None
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:
                continue
            if not line:
                return
            text = printable(line.decode(errors="replace").strip())
            if text:
                self._said.append(text)
                if not self._begun and self._ask:
                    self._tell_words(text)

    async def _why(self) -> ProbeError:
        """Why it ended."""
        assert self._process is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 5)
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), 1)
        return ssh.why(self._way.name, self._process.returncode, tuple(self._said))

    # -- asking --------------------------------------------------------------------------------

    def tell(self, **what: Any) -> None:
        """Without waiting for the answer."""
        self._question(**what).add_done_callback(lambda done: done.cancelled() or done.exception())

    async def ask(self, **what: Any) -> tuple[str, ...]:
        """Once it has been done there: what it says. Raises what refused it, or Cut."""
        return await self._answer(self._question(**what), PATIENCE)

    def _question(self, **what: Any) -> asyncio.Future[tuple[str, ...]]:
        future: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        if self._over.done():
            future.set_exception(self._over.exception() or Cut("it has ended"))
            return future
        number = next(self._numbers)
        self._waiting[number] = future
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(protocol.request(**what, id=number))
        return future

    async def _answer(
        self, question: asyncio.Future[tuple[str, ...]], patience: float
    ) -> tuple[str, ...]:
        try:
            return await asyncio.wait_for(question, patience)
        except TimeoutError:
            raise ProbeError(f"{self._way.name} does not answer") from None

    def _answered(self, told: Mapping[str, Any]) -> None:
        waiting = self._waiting.pop(told.get("id", 0), None)
        if waiting is None or waiting.done():
            return
        error = protocol.read_error(told)
        if error is None:
            waiting.set_result(protocol.read_result(told))
        else:
            waiting.set_exception(error)

    async def cut_within(self, seconds: float) -> None:
        """Waits so long; raises Cut at once when the conversation is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._over), seconds)

    # -- ending --------------------------------------------------------------------------------

    async def end(self) -> list[str]:
        """Ends it; whatever was attached there is detached. Returns what was said at the end."""
        process = self._process
        if process is None:
            return []
        said = len(self._said)
        assert process.stdin is not None
        try:
            process.stdin.close()
            if not self._begun and process.returncode is None:
                process.terminate()  # it may be asking for a password, with the echo off
            for task in self._tasks[1:]:
                task.cancel()
            await asyncio.gather(*self._tasks[1:], return_exceptions=True)
            self._end_with(Cut("it has ended"))
            try:
                await asyncio.wait_for(self._drained(process), LEAVING)
            except TimeoutError:
                process.kill()
                await process.wait()
            self._tasks[0].cancel()
            with suppress(ConnectionError):
                await process.stdin.wait_closed()
        finally:
            # asyncio does it by itself only once all pipes have ended, and stderr may not.
            transport: asyncio.BaseTransport = vars(process)["_transport"]
            transport.close()
            await asyncio.sleep(0)  # it does so in the loop's next turn
        return list(self._said)[said:]

    async def _drained(self, process: asyncio.subprocess.Process) -> None:
        """Its end. What still comes is read, or it could not end."""
        while await self._stdout.read(1 << 16):
            pass
        await process.wait()
        # A master connection that ssh leaves behind (ControlPersist) keeps stderr open.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), 0.5)
