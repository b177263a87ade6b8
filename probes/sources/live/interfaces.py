"""Interfaces of this network namespace, as they were listed last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

from probes.errors import Gone, ProbeError, as_refusal
from probes.kernel.netlink import route
from probes.model import HookId


class Interfaces:
    """The interfaces. names: by number; another object whenever they may have changed."""

    def __init__(self) -> None:
        self.names: Mapping[int, str] = {}
        self._altnames: dict[str, str] = {}

    def list(self, named: Collection[str]) -> Mapping[int, str]:
        """List them, and return what they were before. Raises ProbeError.

        named: names that the user gave, which may be alternative ones.
        """
        before, self.names = self.names, listed()
        if {*named} - {*self.names.values()}:
            with suppress(ProbeError):  # no netlink: they have the names that they have
                self._altnames = {n: link.name for link in route.links() for n in link.altnames}
        return before

    def find(self, name: str) -> int:
        """Return the number of one, also by another of its names. Raises ProbeError."""
        index, name = found(name)
        if self.names.get(index) != name:
            self.names = {**self.names, index: name}
        return index

    def own(self, id: HookId) -> HookId:
        """Return a hook with the interface's own name; unchanged where that is not known."""
        return id._replace(target=self._altnames.get(id.target or "", id.target))


def listed() -> dict[int, str]:
    """Return the interfaces. Raises ProbeError where the kernel cannot be asked at the moment."""
    try:
        return route.names()
    except OSError as failed:
        raise as_refusal(failed, "listing interfaces") from None


def found(name: str) -> tuple[int, str]:
    """Return the number and own name of an interface given by any of its names.

    Raises ProbeError.
    """
    for index, known in listed().items():
        if known == name:
            return index, known
    link = route.named(name)
    if link is None:
        raise Gone(f"there is no interface {name}")
    return link.ifindex, link.name
