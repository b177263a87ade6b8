"""Name look-ups and TLS handshakes, seen by uprobes in whatever library a process has loaded."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from probes.attach.background import Background
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.toolkit import libraries
from tests.support.elf_files import crafted
from tests.support.rungs import stood
from tests.support.scenarios import Values, find, log_of, rows_of, values

pytestmark = pytest.mark.kernel
Record = Callable[[str, object], None]
FOUND, FAILING, HANDSHAKES = 7, 4, 5


@pytest.fixture
def attached(modules: Modules, record_property: Record) -> Iterator[Callable[[str], Attachment]]:
    held: list[Attachment] = []

    def attach(name: str) -> Attachment:
        record_property("hook", name)
        record_property("rung", "uprobe")
        attachment = Attachment(catalogue()[name], modules)
        held.append(attachment)
        stood(attachment.climb(asked=True), record_property)
        return attachment

    yield attach
    for attachment in held:
        attachment.detach()


# -- names -----------------------------------------------------------------------------------


def test_look_ups_are_counted_with_their_host_and_error(
    attached: Callable[[str], Attachment], record_property: Record
) -> None:
    attachment = attached("dns")
    for _ in range(FOUND):
        socket.getaddrinfo("127.0.0.77", 80)
    for _ in range(FAILING):
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("no-number.example", 80, flags=socket.AI_NUMERICHOST)
    socket.getaddrinfo(None, 80)
    sample = attachment.read()
    rows, log = rows_of(attachment, sample), log_of(attachment, sample)
    mine = [r for r in rows if r["pid"] == os.getpid()]
    good = find(mine, host="127.0.0.77")
    assert (good["lookups"], good["failed"], good["error"]) == (FOUND, 0, "-")
    assert sum(good["latency"]) == FOUND
    bad = find(mine, host="no-number.example")
    assert (bad["lookups"], bad["failed"], bad["error"]) == (FAILING, FAILING, "NONAME")
    assert find(mine, host="(any)")["lookups"] == 1
    entries = [e for e in log if e["pid"] == os.getpid()]
    assert [e["result"] for e in entries] == ["found"] * FOUND + ["NONAME"] * FAILING + ["found"]
    assert all(e["ns"] > 0 for e in entries)
    record_property("count", FOUND + FAILING)


_LOOP = (
    "import socket, sys\n"
    "for line in sys.stdin:\n"
    "    [socket.getaddrinfo('127.0.0.78', 80) for _ in range(int(line))]\n"
    "    print('done', flush=True)\n"
)


@contextmanager
def _container(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in a mount namespace of its own, where the C library is another file."""
    copy = folder / "libc.copy"
    copy.write_bytes(Path(libraries.own_libc()).read_bytes())
    copy.chmod(0o755)
    inside = f'mount --bind {copy} {os.path.realpath(libraries.own_libc())} && exec "$@"'
    command = ("unshare", "--mount", "--propagation=private", "sh", "-c", inside, "sh")
    with subprocess.Popen(
        [*command, sys.executable, "-c", _LOOP],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            _ask(child, 0)
            yield child
        finally:
            child.kill()


def _ask(child: subprocess.Popen[str], times: int) -> None:
    to, back = child.stdin, child.stdout
    assert isinstance(to, IO) or to is not None
    assert back is not None
    to.write(f"{times}\n")
    to.flush()
    assert back.readline() == "done\n"


def _lookups(attachment: Attachment, pid: int) -> int:
    return sum(r["lookups"] for r in values(attachment) if r["pid"] == pid)


def test_a_container_s_own_library_is_followed(
    attached: Callable[[str], Attachment], tmp_path: Path
) -> None:
    """One that was there before, and one that comes later."""
    with _container(tmp_path) as child:
        attachment = attached("dns")
        _ask(child, FOUND)
        assert _lookups(attachment, child.pid) == FOUND
    later = tmp_path / "later"
    later.mkdir()
    with _container(later) as child:
        deadline = time.monotonic() + 60
        while not (before := _lookups(attachment, child.pid)) and time.monotonic() < deadline:
            _ask(child, 1)
            time.sleep(0.2)
        _ask(child, FOUND)
        assert _lookups(attachment, child.pid) == before + FOUND


@pytest.mark.parametrize("attach_first", [True, False])
def test_a_library_that_an_upgrade_deleted_is_followed_while_somebody_has_it(
    attached: Callable[[str], Attachment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attach_first: bool,
) -> None:
    monkeypatch.setattr(libraries, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(libraries, "WALK_REST", 0.0)
    with _container(tmp_path) as child:
        if attach_first:
            attachment = attached("dns")
            _ask(child, 3)
            assert _lookups(attachment, child.pid) == 3
        (tmp_path / "libc.copy").unlink()
        if not attach_first:
            attachment = attached("dns")
            _ask(child, 3)
        keep_up = Background.keep_up
        with monkeypatch.context() as patched:
            patched.setattr(Background, "keep_up", lambda self, *_: keep_up(self, 20))
            for _ in range(3):  # looks that begin after it was deleted, to their end
                values(attachment)
        _ask(child, 4)
        assert _lookups(attachment, child.pid) == 7


def test_two_programs_at_one_function_count_a_call_once(
    attached: Callable[[str], Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the layers of an overlay show one file under two names."""
    path = libraries.own_libc()
    twice = [libraries.Loaded(libraries.LIBC, (b"x", id), path, 0) for id in (b"1", b"2")]
    monkeypatch.setattr(libraries, "loaded", lambda *_: iter(twice))
    attachment = attached("dns")
    socket.getaddrinfo("127.0.0.79", 80)
    (row,) = (r for r in values(attachment) if r["host"] == "127.0.0.79")
    assert row["lookups"] == 1


# -- handshakes ------------------------------------------------------------------------------


def _sides(ciphers: str = "aNULL:@SECLEVEL=0") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context that need no certificate: anonymous, so TLS 1.2."""
    made = []
    for side, offered in ((ssl.PROTOCOL_TLS_CLIENT, ciphers),
                          (ssl.PROTOCOL_TLS_SERVER, "aNULL:@SECLEVEL=0")):  # fmt: skip
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(offered)
        made.append(context)
    return made[0], made[1]


def _shake(client: ssl.SSLContext, server: ssl.SSLContext) -> list[ssl.SSLObject | str]:
    """Both ends in this thread, in turns; each is its session, or how it failed."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(a, b), server.wrap_bio(b, a, server_side=True)]
    result: list[ssl.SSLObject | str | None] = [None, None]
    for _ in range(10):
        for i, end in enumerate(ends):
            if result[i] is None:
                try:
                    end.do_handshake()
                    result[i] = end
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as failed:
                    result[i] = str(failed)
    return [r for r in result if r is not None]


def _own(rows: list[Values], library: str) -> Values:
    return find(rows, pid=os.getpid(), library=library)


def test_openssl_s_handshakes_are_counted(
    attached: Callable[[str], Attachment], record_property: Record
) -> None:
    if "libssl" not in Path("/proc/self/maps").read_text():
        pytest.skip("this Python has its own OpenSSL inside")
    attachment = attached("tls")
    for _ in range(HANDSHAKES):
        for end in _shake(*_sides()):
            assert isinstance(end, ssl.SSLObject)
            assert end.version() == "TLSv1.2"
    row = _own(values(attachment), "openssl")
    assert (row["handshakes"], row["completed"], row["failed"]) == (
        2 * HANDSHAKES, 2 * HANDSHAKES, 0,
    )  # fmt: skip
    assert sum(row["latency"]) == 2 * HANDSHAKES
    assert row["version"] == "TLS 1.2"
    failed = _shake(*_sides("AES128-SHA:@SECLEVEL=0"))
    assert [type(end) for end in failed] == [str, str], failed
    _sides()[0].wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    with suppress(ssl.SSLWantReadError):
        _sides()[0].wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).do_handshake()
    gc.collect()
    sample = attachment.read()
    row = _own(rows_of(attachment, sample), "openssl")
    assert (row["completed"], row["failed"]) == (2 * HANDSHAKES, 3)
    results = [e["result"] for e in log_of(attachment, sample) if e["pid"] == os.getpid()]
    assert results == ["protocol", "protocol", "given up"]
    record_property("count", 2 * HANDSHAKES + 3)


_ANON, _NONBLOCK, _SERVER, _CLIENT = 2, 8, 1, 2  # gnutls/gnutls.h


def test_gnutls_s_handshakes_are_counted(
    attached: Callable[[str], Attachment], record_property: Record
) -> None:
    try:
        lib = ctypes.CDLL("libgnutls.so.30")
    except OSError:
        pytest.skip("GnuTLS is not installed here")
    attachment = attached("tls")
    for _ in range(HANDSHAKES):
        assert _gnutls(lib, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ANON-ECDH:+ANON-DH") == [0, 0]
    row = _own(values(attachment), "gnutls")
    assert (row["handshakes"], row["completed"], row["failed"]) == (
        2 * HANDSHAKES, 2 * HANDSHAKES, 0,
    )  # fmt: skip
    assert row["version"] == "TLS 1.2"
    given_up = _gnutls(lib, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ANON-ECDH", only_client=True)
    assert given_up == [-28]
    sample = attachment.read()
    assert _own(rows_of(attachment, sample), "gnutls")["failed"] == 1
    results = [e["result"] for e in log_of(attachment, sample) if e["pid"] == os.getpid()]
    assert results[-1] == "given up"
    record_property("count", 2 * HANDSHAKES + 1)


def _gnutls(lib: ctypes.CDLL, priority: str, *, only_client: bool = False) -> list[int]:
    """What the last call of each end returned; anonymous, over a pair of sockets."""
    pair = socket.socketpair()
    ends: list[ctypes.c_void_p] = []
    for s, side in zip(pair, (_CLIENT, _SERVER), strict=True):
        s.setblocking(False)
        session, credentials = ctypes.c_void_p(), ctypes.c_void_p()
        assert lib.gnutls_init(ctypes.byref(session), side | _NONBLOCK) == 0
        allocate = "client" if side == _CLIENT else "server"
        getattr(lib, f"gnutls_anon_allocate_{allocate}_credentials")(ctypes.byref(credentials))
        assert lib.gnutls_priority_set_direct(session, priority.encode(), None) == 0
        assert lib.gnutls_credentials_set(session, _ANON, credentials) == 0
        lib.gnutls_transport_set_int2(session, s.fileno(), s.fileno())
        ends.append(session)
    results = [-28] * len(ends)
    for _ in range(20):
        for i, session in enumerate(ends[:1] if only_client else ends):
            if results[i] == -28:
                results[i] = lib.gnutls_handshake(session)
    for session in ends:
        lib.gnutls_protocol_get_version(session)
        lib.gnutls_deinit(session)
    for s in pair:
        s.close()
    return results[:1] if only_client else results


# -- libraries that somebody made ------------------------------------------------------------

_MAPPING = (
    "import mmap, sys\n"
    "files = [open(name, 'rb') for name in sys.argv[1:]]\n"
    "how = {'prot': mmap.PROT_READ | mmap.PROT_EXEC, 'flags': mmap.MAP_PRIVATE}\n"
    "maps = [mmap.mmap(f.fileno(), 4096, **how) for f in files]\n"
    "print('mapped', flush=True)\n"
    "input()\n"
)


@contextmanager
def _mapped(*files: Path) -> Iterator[None]:
    """A process that has them as libraries."""
    command = [sys.executable, "-c", _MAPPING, *map(str, files)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "mapped\n"
        try:
            yield
        finally:
            child.kill()


def _costly(kind: str) -> bytes:
    match kind:
        case "no end":
            return crafted(b"\0" + b"A" * (1 << 25), [(1, 0x1000)] * 200_000)
        case "many names":
            return crafted(b"\0" + b"getaddrinfo\0" * 1_000_000, [(1, 0x1000)] * 200_000)
        case "many places":
            names = b"\0getaddrinfo\0"
            return crafted(names, [(1, 0x1000 + i) for i in range(3000)])
        case _:
            return crafted(b"\0getaddrinfo\0__cxa_throw\0", [(1, 0x1000)])


@pytest.mark.parametrize("kind", ["no end", "many names", "many places", "unwinds"])
def test_a_library_that_was_made_to_cost_costs_the_others_nothing(
    kind: str, attached: Callable[[str], Attachment], tmp_path: Path
) -> None:
    file = tmp_path / "libc.so.6"
    file.write_bytes(_costly(kind))
    with _mapped(file):
        begin = time.monotonic()
        attachment = attached("dns")
        for _ in range(FOUND):
            socket.getaddrinfo("127.0.0.76", 80)
        rows = [r for r in values(attachment) if r["host"] == "127.0.0.76"]
        attachment.detach()
        assert sum(r["lookups"] for r in rows) == FOUND
        assert time.monotonic() - begin < 60


def test_a_user_s_libraries_are_followed_up_to_a_bound(
    attached: Callable[[str], Attachment],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, ids = libraries.own_libc(), [str(i).encode() for i in range(200)]
    many = [libraries.Loaded(libraries.LIBC, (b"x", id), path, 1000) for id in ids]
    monkeypatch.setattr(libraries, "loaded", lambda *_: iter(many))
    monkeypatch.setattr(libraries, "MOST_OF_USER", 2)
    attachment = attached("dns")
    standing = attachment._standing
    assert standing is not None
    assert len(standing.programs) == 2 + 2 * 2


def test_a_process_that_cannot_be_looked_at_keeps_nobody_waiting(
    attached: Callable[[str], Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maps never come; readings go on, and leaving waits for it a moment only."""
    go_on = threading.Event()

    def looks(*_: object) -> Iterator[libraries.Loaded]:
        go_on.wait(60)
        yield from ()

    monkeypatch.setattr(libraries, "loaded", looks)
    monkeypatch.setattr(libraries, "FIRST", 0.2)
    attachment = attached("dns")
    begin = time.monotonic()
    for _ in range(3):
        attachment.read()
    attachment.detach()
    assert time.monotonic() - begin < 10
    go_on.set()
