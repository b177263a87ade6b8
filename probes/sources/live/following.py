"""Following interfaces that come, go and are renamed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import closing
from functools import partial

from probes.custom.catalogue import Catalogue
from probes.droprules.enforcer import Rules
from probes.errors import Gone
from probes.kernel.netlink import route
from probes.ladder.attachment import Attachment
from probes.model import Hook, HookId, TargetKind
from probes.sources.live.attachments import Attachments
from probes.sources.live.interfaces import Interfaces
from probes.sources.live.wanted import Wanted


class InterfaceFollower:
    """The follower of interfaces.

    Unfinished work is kept, so that what fails is done the next time.

    run: runs a call in a thread. begin: attaches. tell: reports what went wrong. leaving: what is
    still to be released.
    """

    def __init__(
        self,
        hooks: Catalogue,
        interfaces: Interfaces,
        attachments: Attachments,
        wanted: Wanted,
        rules: Rules,
        *,
        run: Callable[[Callable[[], object]], Awaitable[object]],
        begin: Callable[[Attachment], None],
        tell: Callable[[str, BaseException], None],
    ) -> None:
        self._hooks, self._interfaces, self._attachments = hooks, interfaces, attachments
        self._wanted, self._rules = wanted, rules
        self._run, self._begin, self._tell = run, begin, tell
        self.leaving: list[Attachment] = []
        self._went: set[int] = set()
        self._ended: set[int] = set()
        self._coming: set[int] = set()
        self._stood: set[tuple[str, int]] = set()
        self._failed = False

    def expect(self, name: str | None) -> None:
        """Note that hooks could not be attached to the interface of this name, to do so later."""
        self._coming |= {i for i, known in self._interfaces.names.items() if known == name}

    async def follow(self, interval: Callable[[], float]) -> None:
        """Follow until cancelled. interval: seconds between two looks."""
        with closing(route.Changes()) as changes:
            while True:
                await asyncio.sleep(interval())
                if changes.seen() or self._unfinished:
                    await self._look(changes.gone())

    @property
    def _unfinished(self) -> bool:
        return bool(self._failed or self._coming or self.leaving or self._ended)

    async def _look(self, went: Collection[int]) -> None:
        """Keep up once; what fails does not end it, as what is reported meanwhile would be lost."""
        self._failed = False
        try:
            await self._keep_up(went)
        except Exception as raised:
            self._failed = True
            self._tell("following interfaces", raised)

    async def _keep_up(self, went: Collection[int]) -> None:
        """Keep up once. went: interfaces whose numbers may be those of others by now."""
        self._went |= {*went}
        before = self._interfaces.list(self._wanted.interfaces())
        now = self._interfaces.names
        gone = before.keys() - (now.keys() - self._went)
        self._went.clear()
        self._ended |= gone
        self._coming = self._coming & now.keys() | now.keys() - (before.keys() - gone)
        self._coming |= {index for index, name in now.items() if before.get(index, name) != name}
        self._leave(gone)
        for attachment in self.leaving[:]:
            if attachment.ifindex in now:  # it has a row in the same map as the one that comes
                await self._let_go(attachment)
        self._attachments.rename()
        self._attach_new()  # before anything is waited for: none is seen as not wanted
        try:
            await self._run(partial(self._follow_rules, now))
        except Exception as raised:
            self._tell("ending drop rules", raised)
        for attachment in self.leaving[:]:
            await self._let_go(attachment)

    def _follow_rules(self, now: Mapping[int, str]) -> None:
        there = {index: name for index, name in now.items() if index not in self._ended}
        self._ended.clear()  # it is told of each once: rules that come later are of another
        self._rules.follow(there)

    def _leave(self, gone: Collection[int]) -> None:
        """Note what is to be released on these interfaces.

        Where another interface has the number now, what was attached is to be attached again.
        """
        left = self._attachments.remove_on(gone)
        self.leaving += left
        self._stood |= {(a.hook.name, a.ifindex) for a in left if a.epoch}

    async def _let_go(self, attachment: Attachment) -> None:
        try:
            await self._run(attachment.detach)
        except Exception as raised:  # no thread to be had
            self._tell(f"detaching {attachment.status.id}", raised)
        else:
            self.leaving.remove(attachment)

    def _attach_new(self) -> None:
        """Attach what is wanted on new interfaces, and what was on one that was made again."""
        waiting = {attachment.ifindex for attachment in self.leaving}
        for index in sorted(self._coming - waiting):
            begun = [self._attach_at(hook, index) for hook in self._wanted_on(index)]
            if all(begun):
                self._coming.discard(index)
        self._stood = {(hook, index) for hook, index in self._stood if index in self._coming}

    def _wanted_on(self, index: int) -> list[Hook]:
        hooks = [h for h in self._hooks.values() if h.target is TargetKind.INTERFACE]
        return [h for h in hooks if (h.name, index) in self._stood or self._wanted.on(h, index)]

    def _attach_at(self, hook: Hook, index: int) -> bool:
        """Return whether that has been begun; else it is tried the next time."""
        if self._attachments.there(hook.name, index):
            return True
        try:
            attachment = self._attachments.get(HookId(hook.name, self._interfaces.names[index]))
        except Exception as raised:
            if not isinstance(raised, Gone):  # or renamed since it was listed
                self._tell(f"attaching {hook.name}", raised)
            return False
        self._begin(attachment)
        return True
