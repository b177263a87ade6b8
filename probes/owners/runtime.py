"""The interface of a container runtime: the cgroups it makes, and the names it keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_SHORT = 12
"""Digits of an id that runtimes show."""


class Runtime(NamedTuple):
    """A kind of runtime.

    id_in: a container's id in a part of a cgroup's path and the part above; "" if it is none.
    name_of: its name by id and the user who runs it (None: root); "" where it is not known.
    in_path: whether the name is in the path alone, so that a container's root may make up any: such
    a name counts outside of other containers only. Otherwise a part that is nothing but an id may
    be its container.
    """

    name: str
    id_in: Callable[[str, str], str]
    name_of: Callable[[str, int | None], str]
    in_path: bool = False


def prefixed(*prefixes: str) -> Callable[[str, str], str]:
    """Return an `id_in` for "PREFIX-ID" and "PREFIX-ID.scope"; "_" as Kata Containers does."""
    pattern = re.compile(rf"(?:{'|'.join(prefixes)})[-_]([0-9a-f]{{64}})(?:\.scope)?")

    def id_in(part: str, _: str) -> str:
        found = pattern.fullmatch(part)
        return found[1] if found else ""

    return id_in


_ID = re.compile(r"[0-9a-f]{64}")


def is_id(part: str) -> bool:
    """Return whether a part is nothing but an id, as where cgroupfs is the runtime's driver."""
    return _ID.fullmatch(part) is not None


def short(id: str) -> str:
    """Return an id as runtimes show it."""
    return id[:_SHORT] if is_id(id) else id


def in_pod(namespace: str, pod: str, container: str) -> str:
    """Return "namespace/pod/container"; of a pod's own sandbox "namespace/pod"; "" if unknown."""
    return "/".join(filter(None, (namespace, pod, container))) if pod else ""
