"""The layouts that tests read from the C are those that bcc makes of it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from probes.errors import ProbeError
from probes.kernel.maps import ROWS
from probes.ladder.attachment import Modules
from tests.support.layouts import declared
from tests.support.odd_values import TARGETS, rungs

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(rung.source_for(TARGETS.get(hook.target)), id=f"{hook.name}-{rung.name}")
        for hook, rung in rungs()
        if rung.source
    ],
)
def test_what_is_read_from_the_c_is_what_bcc_makes_of_it(modules: Modules, source: str) -> None:
    with ExitStack() as stack:
        try:
            tables = modules.take(source, stack).tables
        except ProbeError as refused:
            pytest.skip(refused.why)
        known = {about.name: about for about in declared(source)}
        assert known.keys() == tables.keys()
        for name, table in tables.items():
            about = known[name]
            assert about.type in ROWS
            read = type(table)(
                -1,
                {
                    "name": name, "max_entries": about.most, "type": about.type,
                    "key_desc": about.key, "key_size": about.key_size,
                    "leaf_desc": about.value, "leaf_size": about.value_size,
                },
            )  # fmt: skip
            assert (read.fields, read.max_entries) == (table.fields, table.max_entries)
            for mine, bcc in ((read._key, table._key), (read._value, table._value)):
                assert (mine._format, mine.size) == (bcc._format, bcc.size)
