"""Hooks that ebpftop attaches unasked: at the start, and to interfaces that come later."""

from __future__ import annotations

from collections.abc import Iterable

from probes.custom.catalogue import Catalogue
from probes.model import Hook, HookId, Reach, TargetKind
from probes.sources.live.interfaces import Interfaces

MOST_INTERFACES = 64
"""Interfaces that get a targeted hook by themselves; the user can attach to any other."""


class Wanted:
    """The hooks to attach. wanted: those at start (None: the safe set). also: those beside it."""

    def __init__(
        self,
        hooks: Catalogue,
        interfaces: Interfaces,
        wanted: Iterable[HookId] | None,
        also: Iterable[HookId],
    ) -> None:
        self._hooks, self._interfaces = hooks, interfaces
        self._wanted = None if wanted is None else tuple(wanted)
        self._also = tuple(also)

    @property
    def safe_set(self) -> bool:
        return self._wanted is None

    @property
    def too_many(self) -> int:
        """Return the interfaces that get no hook by themselves."""
        return len(self._interfaces.names) - MOST_INTERFACES if self.safe_set else 0

    def by_name(self) -> tuple[HookId, ...]:
        """Return what the user asked for at the start; by the interface's own name, too."""
        asked = *(self._wanted or ()), *self._also
        return *asked, *map(self._interfaces.own, asked)

    def interfaces(self) -> set[str]:
        """Return the names of the interfaces that the user wants hooks on."""
        asked = *(self._wanted or ()), *self._also
        hooks = {id: self._hooks.get(id.hook) for id in asked}
        return {
            id.target or ""
            for id, hook in hooks.items()
            if hook is not None and hook.target is TargetKind.INTERFACE
        }

    def initial(self) -> list[HookId]:
        if self._wanted is not None:
            return list(dict.fromkeys(self._wanted))
        ids = list(self._also)
        for hook in self._hooks.values():
            if hook.on_demand or hook.reach is not Reach.OBSERVES:
                continue
            if hook.target is TargetKind.INTERFACE:
                names = list(self._interfaces.names.values())[:MOST_INTERFACES]
                ids += [HookId(hook.name, name) for name in names]
            else:
                ids.append(HookId(hook.name))
        return list(dict.fromkeys(ids))

    def on(self, hook: Hook, index: int) -> bool:
        """Return whether a hook is attached by itself to a new interface."""
        if HookId(hook.name, self._interfaces.names[index]) in self.by_name():
            return True
        safe = hook.reach is Reach.OBSERVES and not hook.on_demand
        return self.safe_set and safe and len(self._interfaces.names) <= MOST_INTERFACES
