"""Users by name."""

from __future__ import annotations

import pwd
from contextlib import suppress


def user_name(uid: int) -> str:
    """Return the user's name, or "user 1000" where nobody knows the number."""
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"
