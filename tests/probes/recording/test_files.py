"""Files made for people: whose they are, and that nothing is followed, emptied or waited for."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.recording import files
from probes.recording.writer import RecordingError, RecordingFile
from tests.support.recordings import HOST
from tui.config import paths

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of other users")
PERSON, OTHER = 65533, 65534
ELSE = "another user"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which everybody may make files, as /tmp is."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    return place


@pytest.fixture
def sudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SUDO_UID", str(PERSON))
    monkeypatch.setenv("SUDO_GID", str(PERSON))
    return


def _theirs(path: Path, uid: int = OTHER) -> Path:
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def test_a_file_takes_its_place_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.svg"
    files.replace(place, "first", mode=0o644)
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    place.chmod(0o640)

    def full(_fd: int, _octets: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            files.replace(place, "second")
    assert place.read_text() == "first"
    files.replace(place, "second\udcff")
    assert place.read_text() == "second\\udcff"
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert [*tmp_path.iterdir()] == [place]


def test_what_is_no_plain_file_is_not_written(tmp_path: Path) -> None:
    """Neither through a link, nor to a pipe, which nobody reads, nor over a device's name."""
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        for write in (lambda p: files.replace(p, "x"), lambda p: files.write_new(p, "x")):
            with pytest.raises(OSError):  # noqa: PT011 - each has its own
                write(tmp_path / name)
        with pytest.raises(OSError):  # noqa: PT011
            files.check(tmp_path / name)
        with pytest.raises(RecordingError):
            RecordingFile(tmp_path / name, HOST, ())
        with pytest.raises(RecordingError):
            RecordingFile(tmp_path / name, HOST, (), force=True)
    assert target.read_text() == "mine"
    assert (tmp_path / "link").is_symlink()


@ROOT
def test_a_link_that_somebody_else_put_there_leads_nowhere(shared: Path, tmp_path: Path) -> None:
    """As a folder on the way; our own and root's do lead on."""
    (tmp_path / "real").mkdir()
    (shared / "mine").symlink_to("../real")
    files.write_new(shared / "mine" / "a", "x")
    assert (tmp_path / "real" / "a").read_text() == "x"
    (shared / "theirs").symlink_to("../real")
    _theirs(shared / "theirs")
    for write in (files.check, files.make_folder, lambda p: files.write_new(p, "x")):
        with pytest.raises(OSError, match=ELSE):
            write(shared / "theirs" / "b")
    with pytest.raises(RecordingError, match=ELSE):
        RecordingFile(shared / "theirs" / "b", HOST, ())
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["a"]


@ROOT
def test_a_file_that_somebody_else_put_there_gives_nothing_away(shared: Path) -> None:
    """What takes its place has not its mode, nor its owner."""
    planted = shared / "out.svg"
    planted.write_text("")
    planted.chmod(0o666)
    _theirs(planted)
    files.replace(planted, "secret")
    assert (planted.stat().st_uid, stat.S_IMODE(planted.stat().st_mode)) == (0, 0o600)


@ROOT
@pytest.mark.usefixtures("sudo")
def test_under_sudo_files_are_the_persons_where_they_could_have_made_them(
    shared: Path, tmp_path: Path
) -> None:
    """In a folder of theirs, or of all; not in one of root's, where they would get what is not
    theirs to have."""
    home = tmp_path / "home"
    home.mkdir()
    _theirs(home, PERSON)
    for place, owner in ((home, PERSON), (shared, PERSON), (tmp_path, 0)):
        files.write_new(place / "new", "x")
        files.replace(place / "whole", "x")
        RecordingFile(place / "rec", HOST, ())
        for name in ("new", "whole", "rec"):
            assert (place / name).stat().st_uid == owner
    files.make_folder(home / ".local" / "state" / "ebpftop")
    for folder in (".local", ".local/state", ".local/state/ebpftop"):
        status = (home / folder).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (PERSON, 0o700)


@ROOT
@pytest.mark.usefixtures("sudo")
def test_a_link_of_the_person_leads_only_to_where_they_could_write_themselves(
    tmp_path: Path,
) -> None:
    """Who may call nothing but ebpftop by sudo gets no file into a folder of root's by it."""
    for name, owner in (("home", PERSON), ("theirs", PERSON), ("roots", 0)):
        (tmp_path / name).mkdir()
        _theirs(tmp_path / name, owner)
    for name in ("theirs", "roots"):
        link = tmp_path / "home" / name
        link.symlink_to(tmp_path / name)
        _theirs(link, PERSON)
    files.write_new(tmp_path / "home" / "theirs" / "new", "x")
    assert (tmp_path / "theirs" / "new").stat().st_uid == PERSON
    through = tmp_path / "home" / "roots"
    for write in (
        lambda: files.write_new(through / "new", "x"),
        lambda: files.replace(through / "new", "x"),
        lambda: files.check(through / "new"),
        lambda: files.make_folder(through / "folder"),
    ):
        with pytest.raises(OSError, match="another user's folder"):
            write()
    assert list((tmp_path / "roots").iterdir()) == []


@ROOT
@pytest.mark.parametrize("uid", ["", "x", "-1", "0", "99999999999999", "1 "])
def test_who_called_sudo_may_not_be_known(
    uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", "7")
    files.write_new(tmp_path / "a", "x")
    assert (tmp_path / "a").stat().st_uid == 0


def test_where_there_can_be_no_file_is_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "a", tmp_path / ("x" * 300), tmp_path / "a\0b", Path("/")):
        with pytest.raises(OSError) as refused:  # noqa: PT011 - each has its own
            files.write_new(path, "x")
        assert refused.value.strerror
    assert not [*tmp_path.iterdir()]


def test_paths_of_the_environment_that_are_not_absolute_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the specification of these variables says; nor is a home."""
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/x")
    assert paths.config() == Path("/etc/x/ebpftop")
    for wrong in ("", " ", "x", "./x", "~/x"):
        monkeypatch.setenv("XDG_CONFIG_HOME", wrong)
        monkeypatch.setenv("XDG_STATE_HOME", wrong)
        paths.ignore_relative()
        assert paths.config() == Path("/home/x/.config/ebpftop")
        assert paths.state() == Path("/home/x/.local/state/ebpftop")
    monkeypatch.setenv("HOME", "here")
    with pytest.raises(OSError):  # noqa: PT011 - whatever cannot be
        files.make_folder(paths.state())


@ROOT
def test_under_sudo_files_are_the_person_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's home cannot be entered by them. A number that has no user is nobody's."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for person in pwd.getpwall():
        if person.pw_uid:
            monkeypatch.setenv("SUDO_UID", str(person.pw_uid))
            monkeypatch.setenv("SUDO_GID", str(person.pw_gid))
            home = Path(person.pw_dir)
            assert paths.config() == home / ".config/ebpftop"
            assert paths.state() == home / ".local/state/ebpftop"
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", "/x")
        assert paths.state() == Path("/x/ebpftop")
    monkeypatch.setenv("SUDO_UID", "4123456789")
    assert paths.home() == Path.home()


def test_what_is_read_is_a_small_plain_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to would hold the start for ever."""
    (tmp_path / "a").write_text("interval = 2")
    (tmp_path / "link").symlink_to("a")
    assert files.read(tmp_path / "link") == "interval = 2"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (files.MOST_READ + 1))
    for name, why in (
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("large", "larger than"),
    ):
        with pytest.raises(OSError, match=why):
            files.read(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is called by sudo")
def test_who_called_sudo_reads_nothing_that_is_root_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65534")
    secret = tmp_path / "secret"
    secret.write_text("[key]")
    secret.chmod(0o640)
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(OSError, match="this user may not read it"):
        files.read(tmp_path / "link")
    secret.chmod(0o644)
    assert files.read(tmp_path / "link") == "[key]"
    os.chown(secret, 65534, 65534)
    secret.chmod(0o600)
    assert files.read(tmp_path / "link") == "[key]"
