"""The attachments that exist, by hook and target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache

from probes.custom.catalogue import Catalogue
from probes.errors import Gone
from probes.ladder.attachment import Attachment
from probes.model import Hook, HookId, Status, TargetKind
from probes.sources.live.interfaces import Interfaces

Make = Callable[[Hook, str | None, int], Attachment]
"""Makes an attachment of a hook, its target, and the interface's number (0: it is on none)."""


class Attachments:
    """One attachment for each hook and target; interfaces are identified by their numbers."""

    def __init__(self, hooks: Catalogue, interfaces: Interfaces, make: Make) -> None:
        self._hooks, self._interfaces, self._make = hooks, interfaces, make
        self._by_key: dict[tuple[str, int | str | None], Attachment] = {}
        self._statuses: tuple[Status, ...] = ()
        self._names: Mapping[int, str] | None = None
        self._made_of: tuple[list[Status], int] = [], 0

    def all(self) -> list[Attachment]:
        return list(self._by_key.values())

    def of_hook(self, name: str) -> list[Attachment]:
        return [a for (hook, _), a in list(self._by_key.items()) if hook == name]

    def there(self, hook: str, index: int) -> bool:
        """Return whether there is one on an interface."""
        return (hook, index) in self._by_key

    def get(self, id: HookId) -> Attachment:
        """Return the attachment of an id, made if need be. Raises Gone for what does not exist."""
        hook = self._hooks.find(id.hook)
        if hook.name != id.hook:
            id = HookId(hook.name)  # one of the user's own, in its one form
        key, ifindex = self._key(hook, id)
        attachment = self._by_key.get(key)
        if attachment is None:
            target = self._interfaces.names[ifindex] if ifindex else id.target
            attachment = self._by_key[key] = self._make(hook, target, ifindex)
        return attachment

    def remove(self, attachment: Attachment) -> None:
        self._by_key = {k: a for k, a in self._by_key.items() if a is not attachment}

    def remove_on(self, gone: Collection[int]) -> list[Attachment]:
        """Remove and return those on these interfaces."""
        return [self._by_key.pop(key) for key in list(self._by_key) if key[1] in gone]

    def rename(self) -> None:
        """Take the present names of interfaces."""
        for (_, index), attachment in list(self._by_key.items()):
            name = self._interfaces.names.get(index) if isinstance(index, int) else None
            if name is not None and name != attachment.status.id.target:
                attachment.rename(name)

    def statuses(self) -> tuple[Status, ...]:
        """Return the statuses of all, and of what could be attached.

        The same object until one of them changes: several ask at each tick, and there may be
        thousands.
        """
        names, hooks = self._interfaces.names, len(self._hooks)
        made_of = [a.status for a in list(self._by_key.values())], hooks
        if names is not self._names or made_of != self._made_of:
            self._statuses = tuple(self._listed())
            self._names, self._made_of = names, made_of
        return self._statuses

    def _listed(self) -> Iterator[Status]:
        standing: dict[str, list[Status]] = {}
        for (name, _), attachment in list(self._by_key.items()):
            standing.setdefault(name, []).append(attachment.status)
        for hook in self._hooks.values():
            if hook.target is TargetKind.INTERFACE:
                for index, name in self._interfaces.names.items():
                    there = self._by_key.get((hook.name, index))
                    yield there.status if there else _detached(hook.name, name)
            elif hook.name in standing:
                yield from standing[hook.name]
            elif hook.target is TargetKind.NONE:
                yield _detached(hook.name)

    def _key(self, hook: Hook, id: HookId) -> tuple[tuple[str, int | str | None], int]:
        if (id.target is None) is not (hook.target is TargetKind.NONE):
            wants = f"needs a target: {hook.name}@{hook.target}" if hook.target else "has no target"
            raise Gone(f"the hook {hook.name} {wants}")
        if hook.target is not TargetKind.INTERFACE:
            return (hook.name, id.target), 0
        index = self._interfaces.find(id.target or "")
        return (hook.name, index), index


@lru_cache(1 << 14)
def _detached(hook: str, target: str | None = None) -> Status:
    """Return one object for each, as there are thousands, and they are compared."""
    return Status(HookId(hook, target))
