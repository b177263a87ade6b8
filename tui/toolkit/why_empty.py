"""Why a pane has no row: its hook failed, or has read nothing yet, or there is nothing."""

from __future__ import annotations

from probes.model import State
from tui.session.view import View
from tui.table.fields import label
from tui.toolkit.pane import EVERY, Pane

_WITHOUT = (State.FAILED, State.DETACHED)


def why_empty(view: View, pane: Pane) -> str:
    """Return a sentence for a table without rows; with what to do, if something can be done."""
    hook = pane.hooks[0]
    if hook == EVERY or pane.inner:
        return pane.empty
    status = next((s for s in view.statuses if s.id.hook == hook), None)
    if status is not None and status.state in _WITHOUT:
        refused = status.refused[-1:]
        said = [text for one in refused for text in (one.why, one.remedy) if text]
        return label(f"{hook} is not attached: {'; '.join(said) or status.note or 'a attaches it'}")
    if not view.of(hook):
        return f"waiting for the first numbers of {hook}"
    return pane.empty
