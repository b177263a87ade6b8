"""The toolkit for hook files: the only import that hook files need, ours and users'.

    from probes.toolkit import Hook, Program, RawTracepoint, Rung, by_columns, counter, key

Imports `attach`, `kernel`, `model` and the packages below them.
"""

from probes.attach.cgroup import CgroupAttach, CgroupLink
from probes.attach.clsact import Clsact
from probes.attach.iterator import Iterator
from probes.attach.kprobe import Kprobe, KprobeMulti, Kretprobe, KretprobeMulti
from probes.attach.perf_event import Samples
from probes.attach.sk_msg import SkMsgAttach, SkMsgLink
from probes.attach.socket_filter import PacketSocket
from probes.attach.tcx import TcxBeside, TcxLink
from probes.attach.tracepoint import BtfTracepoint, RawTracepoint, Tracepoint
from probes.attach.trampoline import Fentry, Fexit, FexitOf, Lsm
from probes.attach.uprobe import Uprobe, Uretprobe
from probes.attach.xdp import XdpLink, XdpNetlink
from probes.errors import (
    Busy,
    Denied,
    Gone,
    LoadFailed,
    ProbeError,
    Unsupported,
)
from probes.model import (
    Column,
    Cost,
    Hook,
    HookId,
    Key,
    Kind,
    Opening,
    Program,
    Reach,
    Reading,
    Row,
    Rung,
    TargetKind,
    Value,
)
from probes.point import AttachType, ProgType
from probes.toolkit.c_files import c_source
from probes.toolkit.columns import (
    INDEX,
    MADE,
    VERDICTS,
    bpf_program,
    byte_count,
    cgroup,
    counter,
    derived,
    ends,
    given,
    histogram,
    holder,
    interface,
    key,
    latency,
    level,
    logged_process,
    p99,
    packet_count,
    port_key,
    process,
    program_holders,
    program_time,
    target,
    verdicts,
)
from probes.toolkit.counters_c import UNCOUNTED, counted, event_log, everything, large_rows
from probes.toolkit.decode import (
    address,
    comm,
    errno_name,
    ethertype_name,
    family,
    ip_protocol,
    packet_protocol,
)
from probes.toolkit.interface_names import interface_name, name_or_number
from probes.toolkit.readers import (
    by_columns,
    counting_lost,
    filled,
    logged,
    of_interface,
    record,
    row_from,
    row_of,
    thread_of,
)
from probes.toolkit.tick_cache import cached
from probes.toolkit.who_c import WHO, WHO_AT_CGROUP
from probes.toolkit.window import mean, quantile
from probes.units import Unit

__all__ = [
    "INDEX",
    "MADE",
    "UNCOUNTED",
    "VERDICTS",
    "WHO",
    "WHO_AT_CGROUP",
    "AttachType",
    "BtfTracepoint",
    "Busy",
    "CgroupAttach",
    "CgroupLink",
    "Clsact",
    "Column",
    "Cost",
    "Denied",
    "Fentry",
    "Fexit",
    "FexitOf",
    "Gone",
    "Hook",
    "HookId",
    "Iterator",
    "Key",
    "Kind",
    "Kprobe",
    "KprobeMulti",
    "Kretprobe",
    "KretprobeMulti",
    "LoadFailed",
    "Lsm",
    "Opening",
    "PacketSocket",
    "ProbeError",
    "ProgType",
    "Program",
    "RawTracepoint",
    "Reach",
    "Reading",
    "Row",
    "Rung",
    "Samples",
    "SkMsgAttach",
    "SkMsgLink",
    "TargetKind",
    "TcxBeside",
    "TcxLink",
    "Tracepoint",
    "Unit",
    "Unsupported",
    "Uprobe",
    "Uretprobe",
    "Value",
    "XdpLink",
    "XdpNetlink",
    "address",
    "bpf_program",
    "by_columns",
    "byte_count",
    "c_source",
    "cached",
    "cgroup",
    "comm",
    "counted",
    "counter",
    "counting_lost",
    "derived",
    "ends",
    "errno_name",
    "ethertype_name",
    "event_log",
    "everything",
    "family",
    "filled",
    "given",
    "histogram",
    "holder",
    "interface",
    "interface_name",
    "ip_protocol",
    "key",
    "large_rows",
    "latency",
    "level",
    "logged",
    "logged_process",
    "mean",
    "name_or_number",
    "of_interface",
    "p99",
    "packet_count",
    "packet_protocol",
    "port_key",
    "process",
    "program_holders",
    "program_time",
    "quantile",
    "record",
    "row_from",
    "row_of",
    "target",
    "thread_of",
    "verdicts",
]
