"""The header tree: what is in it, and when it is remade. Needs BTF, no privilege."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.compile import headers
from probes.compile.compiler import Compiler
from probes.compile.tree_cache import MANIFEST, TreeCache, intact
from probes.errors import ProbeError, Unsupported
from probes.kernel import btf, btf_dump

FILES = {"include/a.h": "struct a {};\n", "b": ""}

needs_btf = pytest.mark.skipif(not headers.BTF.exists(), reason="this kernel has no BTF")


class Made:
    """A generator of FILES that counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, str]:
        self.times += 1
        return FILES


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place) / "ebpftop"


def test_a_tree_is_made_once_for_each_identity(base: Path) -> None:
    made = Made()
    first = TreeCache(base).get(("6.1",), made)
    assert TreeCache(base).get(("6.1",), made) == first
    assert TreeCache(base).get(("6.2",), made) != first
    assert made.times == 2
    assert (first / "include/a.h").read_text() == FILES["include/a.h"]


def test_nobody_else_can_enter_or_write_a_tree(base: Path) -> None:
    old = os.umask(0)
    try:
        place = TreeCache(base).get(("6.1",), Made())
    finally:
        os.umask(old)
    assert {p.stat().st_mode & 0o077 for p in [base, place, *place.rglob("*")]} == {0}


def truncate(place: Path) -> None:
    (place / "include/a.h").write_text("struct")


def lose_a_file(place: Path) -> None:
    (place / "b").unlink()


def add_a_file(place: Path) -> None:
    (place / "include/vmlinux.h").write_text("")


def truncate_the_manifest(place: Path) -> None:
    (place / MANIFEST).write_text('{"b"')


def lose_the_manifest(place: Path) -> None:
    (place / MANIFEST).unlink()


def let_the_group_write(place: Path) -> None:
    (place / "b").chmod(0o620)


def let_all_write_a_folder(place: Path) -> None:
    (place / "include").chmod(0o707)


def link_a_file(place: Path) -> None:
    (place / "b").unlink()
    (place / "b").symlink_to("/dev/null")


@pytest.mark.parametrize(
    "spoil",
    [
        truncate,
        lose_a_file,
        add_a_file,
        truncate_the_manifest,
        lose_the_manifest,
        let_the_group_write,
        let_all_write_a_folder,
        link_a_file,
    ],
)
def test_a_tree_that_is_not_what_was_written_is_remade(base: Path, spoil) -> None:
    made = Made()
    place = TreeCache(base).get(("6.1",), made)
    spoil(place)
    assert not intact(place)
    assert TreeCache(base).get(("6.1",), made) == place
    assert made.times == 2
    assert intact(place)
    assert not [p for p in base.iterdir() if p.name.startswith(".new-")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("part", ["", "include", "include/a.h", MANIFEST])
def test_a_tree_with_a_part_of_somebody_elses_is_remade(base: Path, part: str) -> None:
    made = Made()
    place = TreeCache(base).get(("6.1",), made)
    os.chown(place / part, 65534, 65534)
    TreeCache(base).get(("6.1",), made)
    assert made.times == 2
    assert intact(place)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_folder_that_others_can_write_is_emptied(base: Path, mode: int) -> None:
    base.mkdir()
    (base / "planted").touch()
    base.chmod(mode)
    TreeCache(base)
    assert base.stat().st_mode & 0o777 == 0o700
    assert not (base / "planted").exists()


def test_a_link_in_the_caches_place_is_not_followed(base: Path) -> None:
    elsewhere = base.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "theirs").touch()
    base.symlink_to(elsewhere)
    TreeCache(base)
    assert not base.is_symlink()
    assert (elsewhere / "theirs").exists()


def test_a_failure_while_making_leaves_nothing(base: Path) -> None:
    def fail() -> dict[str, str]:
        raise Unsupported("no BTF")

    with pytest.raises(Unsupported):
        TreeCache(base).get(("6.1",), fail)
    assert not list(base.iterdir())


def test_old_trees_go(base: Path) -> None:
    cache = TreeCache(base)
    for kernel in range(20):
        cache.get((str(kernel),), Made())
    assert len(list(base.iterdir())) == 8
    assert intact(cache.get(("19",), Made()))


@needs_btf
def test_types_come_with_what_they_need_and_their_size() -> None:
    text, missing = btf_dump.header(("sk_buff", "inet_connection_sock", "u32"))
    assert missing == frozenset()
    assert "struct sk_buff {" in text
    assert "struct inet_sock {" in text  # a member by value
    assert "_Static_assert(sizeof(struct sk_buff) == " in text
    assert '_Static_assert(sizeof(u32) == 4, "size of u32");' in text


@needs_btf
def test_a_type_that_the_kernel_does_not_have_is_named_and_no_error() -> None:
    tree = headers.tree(("sk_buff", "of_another_kernel"))
    assert tree.origin == "btf"
    assert "of_another_kernel" in tree.missing
    assert "sk_buff" not in tree.missing


@needs_btf
def test_without_a_cache_that_can_be_written_a_temporary_one_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> TreeCache:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(headers, "_cache", refuse)
    tree = headers.tree(("sk_buff",))
    assert tree.path is not None
    assert tree.path.is_relative_to(tempfile.gettempdir())
    assert intact(tree.path)


@needs_btf
def test_without_a_place_among_temporary_files_shared_memory_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container whose file system is read-only, or where /tmp is full."""

    def refuse() -> TreeCache:
        raise PermissionError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(headers, "_cache", refuse)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    monkeypatch.setattr(headers, "_SHARED_MEMORY", str(tmp_path))
    tree = headers.tree(("sk_buff",))
    assert tree.path is not None
    assert tree.path.is_relative_to(tmp_path)
    monkeypatch.setattr(headers, "_SHARED_MEMORY", str(tmp_path / "neither"))
    with pytest.raises(ProbeError, match="there is no place for the header tree") as raised:
        headers.tree(("sk_buff",))
    assert not isinstance(raised.value, Unsupported), "other headers would need a place, too"
    assert "linux-headers" not in raised.value.remedy


@needs_btf
def test_a_tree_that_was_cleaned_away_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(headers, "_cache", lambda: cache)
    cache, compiler = TreeCache(tmp_path / "cache"), Compiler()
    first = compiler.tree()
    assert compiler.tree() is first
    shutil.rmtree(cache.base)
    assert not first.there
    again = compiler.tree()
    assert again.there
    assert again.path == first.path


@needs_btf
def test_types_of_the_uapi_header_are_left_to_bcc() -> None:
    tree = headers.tree(("sk_buff", "__sk_buff", "xdp_md", "bpf_sock_ops"))
    assert tree.path is not None
    text = (tree.path / "include/ebpftop/kernel_types.h").read_text()
    assert "struct __sk_buff {" not in text
    assert "struct xdp_md {" not in text
    assert not {"__sk_buff", "xdp_md", "bpf_sock_ops"} & tree.missing


def test_without_btf_and_headers_it_is_unsupported_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(headers, "BTF", tmp_path / "vmlinux")
    monkeypatch.setattr(headers, "MODULES", tmp_path)
    with pytest.raises(Unsupported) as refused:
        headers.tree(("sk_buff",))
    assert "BTF" in refused.value.why
    assert os.uname().release in refused.value.remedy


def test_where_only_libbpf_is_missing_bcc_is_named_and_no_headers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It brings libbpf along, and is needed anyway."""
    if not headers.BTF.exists():
        pytest.skip("this kernel has no BTF that libbpf could read")
    monkeypatch.setattr(headers, "MODULES", tmp_path)
    monkeypatch.setattr(btf, "libbpf", lambda: None)
    monkeypatch.setattr(headers, "_from_btf", lambda *_: btf_dump._libbpf.__wrapped__())
    with pytest.raises(Unsupported) as refused:
        headers.tree(("sk_buff",))
    assert refused.value.why == "libbpf is not installed"
    assert refused.value.remedy.startswith("Install bcc, which brings libbpf along: python3-bpfcc")


def test_without_btf_the_distributions_headers_serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / os.uname().release / "build").mkdir(parents=True)
    monkeypatch.setattr(headers, "BTF", tmp_path / "vmlinux")
    monkeypatch.setattr(headers, "MODULES", tmp_path)
    tree = headers.tree(("sk_buff",))
    assert (tree.origin, tree.path) == ("headers", None)
    included = {Path(word).name: Path(word).read_text() for word in tree.cflags if word[0] == "/"}
    assert list(included) == ["records.h", "hooks.h"]
    assert tree.cflags_for("struct mine { u64 n; };") == tree.cflags
    needed = tree.cflags_for("struct sock *sk; struct task_struct *task; struct sock *other;")
    assert needed == ("-include", "net/sock.h", "-include", "linux/sched.h", *tree.cflags)
    constants = Path(tree.cflags[-1]).with_name("constants.h").read_text()
    assert "#define AF_INET6 10" in constants


def test_what_killed_processes_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what a living one uses, nor one of another PID namespace, nor what only looks like it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = headers._mine()
    dead, living = tmp_path / f"{mine}{2**22 + 1}-a", tmp_path / f"{mine}{os.getpid()}-b"
    others = [living, tmp_path / "ebpftop-1-7-c", tmp_path / f"{mine}notes"]
    for folder in (dead, *others):
        (folder / "include").mkdir(parents=True)
    link = tmp_path / f"{mine}{2**22 + 1}-d"
    link.symlink_to(living)
    headers.sweep()
    assert set(tmp_path.iterdir()) == {*others, link}
    assert (living / "include").is_dir()
