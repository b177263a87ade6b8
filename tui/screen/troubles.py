"""Each pane's trouble, computed once for each reading."""

from __future__ import annotations

from collections.abc import Iterable

from tui.session.session import Session
from tui.toolkit.pane import EVERY, Pane, Trouble


class Troubles:
    """The panes' troubles in the view that is shown."""

    def __init__(self, session: Session, panes: Iterable[Pane]) -> None:
        self._session, self._panes = session, tuple(panes)
        self._known: dict[str, Trouble | None] = {}
        self._view = session.view

    def of(self, pane: Pane) -> Trouble | None:
        if self._view is not self._session.view:
            self._view = self._session.view
            self._known.clear()
        if pane.name not in self._known:
            self._known[pane.name] = pane.trouble(self._view)
        return self._known[pane.name]

    def hook_was_read(self, hook: str) -> None:
        """Forget what may have changed; a frozen view stays as it is."""
        for pane in self._panes if not self._session.frozen else ():
            if hook in pane.hooks or EVERY in pane.hooks:
                self._known.pop(pane.name, None)

    def forget(self) -> None:
        self._known.clear()
