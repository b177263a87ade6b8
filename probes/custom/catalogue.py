"""The catalogue of one run.

Our hooks, those of the user's files, and specs as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from probes.custom import builder, hook_files, spec
from probes.errors import Gone
from probes.hooks import catalogue
from probes.model import Hook
from probes.units import printable


class Catalogue(Mapping[str, Hook]):
    """Every hook by name, in the order of the screen; `find` adds hooks of specs.

    complaints: a sentence for each of the user's files that could not be loaded.
    """

    def __init__(self) -> None:
        loaded = hook_files.load(hook_files.folder(), frozenset(catalogue()))
        hooks = sorted((*catalogue().values(), *loaded.hooks), key=lambda h: (h.order, h.name))
        self._hooks = {hook.name: hook for hook in hooks}
        self.complaints = loaded.complaints

    def __getitem__(self, name: str) -> Hook:
        return self._hooks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._hooks))

    def __len__(self) -> int:
        return len(self._hooks)

    def find(self, name: str) -> Hook:
        """Return the hook of that name; a spec's hook is made, and kept from then on.

        Raises ProbeError where there is none: Gone, or the errors of `builder.hook`.
        """
        known = self._hooks.get(name)
        if known is not None:
            return known
        if not spec.is_spec(name):
            raise Gone(f"there is no hook {printable(name)}; `ebpftop hooks` lists them")
        try:
            made = builder.hook(name)
        except spec.SpecError as wrong:
            raise Gone(str(wrong)) from None
        return self._hooks.setdefault(made.name, made)
