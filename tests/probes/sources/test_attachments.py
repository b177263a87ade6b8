"""The statuses of a host: made again when one of them changed, and only then."""

from __future__ import annotations

from typing import Any, cast

import pytest

from probes.custom.catalogue import Catalogue
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import Hook, HookId, State, Status
from probes.sources.live import interfaces
from probes.sources.live.attachments import Attachments
from probes.sources.live.interfaces import Interfaces

INGRESS, QDISCS = HookId("tc-ingress", "lo"), HookId("qdiscs")


def _made(hook: Hook, target: str | None, ifindex: int) -> Attachment:
    return Attachment(hook, cast(Modules, None), target, ifindex)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> tuple[Attachments, Interfaces, dict[int, str]]:
    names = {1: "lo"}
    monkeypatch.setattr(interfaces, "listed", lambda: dict(names))
    found = Interfaces()
    found.list(())
    return Attachments(Catalogue(), found, _made), found, names


def _of(statuses: tuple[Status, ...], id: HookId) -> Status:
    return next(s for s in statuses if s.id == id)


def test_statuses_are_the_same_object_until_one_changes(there: Any) -> None:
    attachments, _, _ = there
    before = attachments.statuses()
    assert attachments.statuses() is before
    assert _of(before, QDISCS).state is State.DETACHED
    attachments.get(QDISCS).stand_passive()
    now = attachments.statuses()
    assert _of(now, QDISCS).state is State.ATTACHING
    assert attachments.statuses() is now
    attachments.get(QDISCS).detach()
    assert _of(attachments.statuses(), QDISCS).state is State.DETACHED


def test_statuses_follow_interfaces(there: Any) -> None:
    attachments, found, names = there
    attachments.get(INGRESS)
    assert _of(attachments.statuses(), INGRESS)
    names |= {2: "new0"}
    assert found.find("new0") == 2
    assert _of(attachments.statuses(), HookId("tc-ingress", "new0"))
    names |= {1: "lo1"}
    found.list(())
    attachments.rename()
    ids = {s.id for s in attachments.statuses()}
    assert HookId("tc-ingress", "lo1") in ids
    assert INGRESS not in ids
    del names[2]
    found.list(())
    assert all(s.id.target != "new0" for s in attachments.statuses())


def test_statuses_follow_hooks_that_the_user_adds(there: Any) -> None:
    attachments, _, _ = there
    attachments.statuses()
    added = HookId("kprobe:vfs_read")
    attachments.get(added)
    assert _of(attachments.statuses(), added)
