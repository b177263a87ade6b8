"""Counters that are read again and again are those that are read and parsed once."""

from __future__ import annotations

from pathlib import Path

from probes.hooks.drops.counters import ALL
from probes.kernel import procfs
from probes.kernel.net_counters import Counts, NetCounters

SNMP = "Ip: Forwarding InDiscards\nIp: 1 {ip}\nTcp: MaxConn InErrs\nTcp: -1 {tcp}\n"
NETSTAT = "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 3 {listen}\nIpExt: InNoRoutes\nIpExt: 4\n"
SNMP6 = "Ip6InReceives   \t7\nUdp6NoPorts   \t{udp}\n"
WANTED = ("IpInDiscards", "TcpInErrs", "TcpExtListenDrops", "Udp6NoPorts", "IpExtInNoRoutes", "No")


def _write(folder: Path, ip: int = 0, tcp: int = 0, listen: int = 0, udp: int = 0) -> str:
    for name, text in (("snmp", SNMP), ("netstat", NETSTAT), ("snmp6", SNMP6)):
        (folder / name).write_text(text.format(ip=ip, tcp=tcp, listen=listen, udp=udp))
    return f"{folder}/"


def test_what_is_wanted_is_what_the_whole_file_has(tmp_path: Path) -> None:
    net, known = _write(tmp_path, 1, 2, 3, 4), NetCounters(WANTED)
    for _ in range(2):
        all = procfs.net_counters(net)
        assert known.read(net).numbers() == {n: all[n] for n in WANTED if n in all}
        net = _write(tmp_path, 10, 1 << 40, 3, 5)
    assert known.read(net).numbers()["TcpInErrs"] == 1 << 40


def test_readings_are_equal_exactly_if_their_numbers_are(tmp_path: Path) -> None:
    known = NetCounters(WANTED)
    first = known.read(_write(tmp_path, 1))
    assert known.read(_write(tmp_path, 1)) == first
    assert known.read(_write(tmp_path, 2)) != first


def test_other_fields_and_missing_files_are_looked_at_anew(tmp_path: Path) -> None:
    known = NetCounters(WANTED)
    known.read(_write(tmp_path, 1, 2, 3, 4))
    (tmp_path / "snmp").write_text("Ip: InDiscards Forwarding\nIp: 9 1\n")
    (tmp_path / "snmp6").unlink()
    expected = {"IpInDiscards": 9, "TcpExtListenDrops": 3, "IpExtInNoRoutes": 4}
    assert known.read(f"{tmp_path}/").numbers() == expected
    for file in tmp_path.iterdir():
        file.unlink()
    assert known.read(f"{tmp_path}/") == Counts((), ())


def test_the_kernel_s_own_files_give_the_same() -> None:
    all = procfs.net_counters("/proc/self/net/")
    found = NetCounters(ALL).read("/proc/self/net/").numbers()
    assert found.keys() == ALL.keys() & all.keys()
    assert len(found) > 40
    assert all.items() >= {name: all[name] for name in found}.items()
