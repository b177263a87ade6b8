"""The attachments that there are, by hook and target."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache

from probes.custom.catalogue import Catalogue
from probes.errors import Gone
from probes.ladder.attachment import Attachment
from probes.model import Hook, HookId, Status, TargetKind
from probes.sources.live.interfaces import Interfaces

Make = Callable[[Hook, str | None, int], Attachment]
"""A new one of a hook, its target, and the interface's number (0: it is on none)."""


class Attachments:
    """One for each hook and target; interfaces are told apart by their numbers."""

    def __init__(self, hooks: Catalogue, interfaces: Interfaces, make: Make) -> None:
        self._hooks, self._interfaces, self._make = hooks, interfaces, make
        self._by_key: dict[tuple[str, int | str | None], Attachment] = {}

    def all(self) -> list[Attachment]:
        return list(self._by_key.values())

    def of_hook(self, name: str) -> list[Attachment]:
        return [a for (hook, _), a in list(self._by_key.items()) if hook == name]

    def there(self, hook: str, index: int) -> bool:
        """Whether there is one on an interface."""
        return (hook, index) in self._by_key

    def get(self, id: HookId) -> Attachment:
        """The attachment of an id, made if need be. Raises Gone for what does not exist."""
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
        """Return those on these interfaces: they are not among the others any more."""
        return [self._by_key.pop(key) for key in list(self._by_key) if key[1] in gone]

    def rename(self) -> None:
        """Interfaces may have other names by now."""
        for (_, index), attachment in list(self._by_key.items()):
            name = self._interfaces.names.get(index) if isinstance(index, int) else None
            if name is not None and name != attachment.status.id.target:
                attachment.rename(name)

    def statuses(self) -> tuple[Status, ...]:
        """Of all, and of what could be attached."""
        known = []
        standing: dict[str, list[Status]] = {}
        for (name, _), attachment in list(self._by_key.items()):
            standing.setdefault(name, []).append(attachment.status)
        for hook in self._hooks.values():
            if hook.target is TargetKind.INTERFACE:
                known += [
                    a.status
                    if (a := self._by_key.get((hook.name, index)))
                    else _detached(hook.name, name)
                    for index, name in self._interfaces.names.items()
                ]
            elif hook.name in standing:
                known += standing[hook.name]
            elif hook.target is TargetKind.NONE:
                known.append(_detached(hook.name))
        return tuple(known)

    def _key(self, hook: Hook, id: HookId) -> tuple[tuple[str, int | str | None], int]:
        if (id.target is None) is not (hook.target is TargetKind.NONE):
            wants = f"needs a target: {hook.name}@{hook.target}" if hook.target else "has no target"
            raise Gone(f"the hook {hook.name} {wants}")
        if hook.target is not TargetKind.INTERFACE:
            return (hook.name, id.target), 0
        index = self._interfaces.find(id.target or "")
        return (hook.name, index), index


@lru_cache(4096)
def _detached(hook: str, target: str | None = None) -> Status:
    """One object for each, as there are hundreds and they are compared at each tick."""
    return Status(HookId(hook, target))
