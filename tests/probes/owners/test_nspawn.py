"""Arguments of systemd-nspawn(1), which name a machine that nothing else knows."""

from __future__ import annotations

import pytest

from probes.owners.nspawn import given


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-M web", {"machine": "web"}),
        ("-Mweb", {"machine": "web"}),
        ("--machine=web", {"machine": "web"}),
        ("--machine web", {"machine": "web"}),
        ("-qbM web", {"machine": "web"}),
        ("-qbD /srv/web --register=no", {"directory": "/srv/web", "register": "no"}),
        ("--network-bridge br0 -M web", {"network-bridge": "br0", "machine": "web"}),
        ("-U --private-users -M web", {"private-users": "", "machine": "web"}),
        ("-D root /bin/sh -M bank", {"directory": "root"}),
        ("-D root -- -M bank", {"directory": "root"}),
        ("-M", {"machine": ""}),
        ("", {}),
    ],
)
def test_options_with_values_up_to_the_command(line: str, options: dict[str, str]) -> None:
    assert dict(given(line.split())) == options
