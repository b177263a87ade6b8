"""This network namespace's interfaces, as they were listed last."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from probes.errors import Gone, ProbeError, as_refusal
from probes.kernel.netlink import route
from probes.model import HookId


class Interfaces:
    """names: by number."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._altnames: dict[str, str] = {}

    def list(self, named: Collection[str]) -> dict[int, str]:
        """List them, and return what they were before. Raises ProbeError.

        named: names that a person used, which may be alternative ones.
        """
        before, self.names = self.names, listed()
        if {*named} - {*self.names.values()}:
            with suppress(ProbeError):  # no netlink: they have the names that they have
                self._altnames = {n: link.name for link in route.links() for n in link.altnames}
        return before

    def find(self, name: str) -> int:
        """Return the number of one, also by another of its names. Raises ProbeError."""
        index, name = found(name)
        self.names[index] = name
        return index

    def own(self, id: HookId) -> HookId:
        """A hook on an interface's other name, by its own; as it is where that is not known."""
        return id._replace(target=self._altnames.get(id.target or "", id.target))


def listed() -> dict[int, str]:
    """Raises ProbeError where nobody can be asked just now."""
    try:
        return route.names()
    except OSError as failed:
        raise as_refusal(failed, "listing interfaces") from None


def found(name: str) -> tuple[int, str]:
    """Its number, and its name where another one of its names is given. Raises ProbeError."""
    for index, known in listed().items():
        if known == name:
            return index, known
    link = route.named(name)
    if link is None:
        raise Gone(f"there is no interface {name}")
    return link.ifindex, link.name
