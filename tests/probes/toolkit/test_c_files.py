"""C in files: put together in order, under their own names; nothing that bcc would drop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probes.toolkit.c_files import SHARED, c_source


def _hook(folder: Path, **files: str) -> str:
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.c").write_text(text)
    return str(folder / "hook.py")


def test_files_are_put_together_in_order_behind_their_numbers(tmp_path: Path) -> None:
    hook = _hook(tmp_path / "mine", rows="int a[N];\n", core="int b;\n")
    assert c_source(hook, "rows.c", "core.c", N=4) == (
        "#undef N\n#define N 4\n"
        '#line 1 "mine/rows.c"\nint a[N];\n'
        '#line 1 "mine/core.c"\nint b;\n'
        '#line 1 "mine/hook.py"\n'
    )


def test_what_is_not_beside_a_hook_is_shared(tmp_path: Path) -> None:
    hook = _hook(tmp_path / "mine")
    text = (SHARED / "uncounted.h").read_text()
    assert f'#line 1 "toolkit/c/uncounted.h"\n{text}' in c_source(hook, "uncounted.h")


def test_an_unknown_file_is_named(tmp_path: Path) -> None:
    hook = _hook(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match=r"no C file 'rows\.c' in .*mine or "):
        c_source(hook, "rows.c")


def test_an_include_that_would_lose_map_calls_is_refused(tmp_path: Path) -> None:
    hook = _hook(tmp_path / "mine", core='int a;\n # include "rows.h"\n', plain="#include <x.h>\n")
    said = "mine/core.c includes 'rows.h': bcc would drop that file's map calls; name it"
    with pytest.raises(ValueError, match=re.escape(said)):
        c_source(hook, "core.c")
    assert "#include <x.h>" in c_source(hook, "plain.c")
