"""How much is tried of what has no end: a little among the quick tests, a lot among the slow."""

from __future__ import annotations

from typing import Any

import pytest


def amounts(names: str, quick: Any, slow: Any) -> pytest.MarkDecorator:
    """Gives a test that parameter, or several divided by commas: each time of both amounts."""
    little = quick if "," in names else (quick,)
    much = slow if "," in names else (slow,)
    both = (
        pytest.param(*little, id="little"),
        pytest.param(*much, id="much", marks=pytest.mark.slow),
    )
    return pytest.mark.parametrize(names, both)
