"""The toolkit for hook files: the only import that hook files need, ours and users'.

    from probes.toolkit import Column, Hook, Kind, Program, RawTracepoint, Rung, Unit, by_columns

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
from probes.toolkit.columns import (
    latency,
    mean,
    quantile,
)
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
)
from probes.toolkit.tick_cache import (
    once,
)
from probes.units import (
    Unit,
)

__all__ = [
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
    "by_columns",
    "comm",
    "counting_lost",
    "errno_name",
    "ethertype_name",
    "family",
    "filled",
    "interface_name",
    "ip_protocol",
    "latency",
    "logged",
    "mean",
    "name_or_number",
    "of_interface",
    "once",
    "packet_protocol",
    "quantile",
    "record",
    "row_from",
    "row_of",
]
