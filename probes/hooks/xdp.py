"""XDP: a counting program of our own on one interface. Attached on a person's word only."""

from probes.model import Column, Hook, Kind, Reach, TargetKind
from probes.units import Unit

VERDICTS = ("aborted", "drop", "pass", "tx", "redirect")  # enum xdp_action, in its order

HOOK = Hook(
    name="xdp",
    title="XDP",
    answers="How many packets and bytes XDP lets pass, drops, sends back or redirects.",
    columns=(
        Column(
            "ifindex", "Index", Unit.NUMBER, Kind.KEY, width=5, help="number; stays when renamed"
        ),
        Column("interface", "Interface", width=15, help="the interface's name"),
        Column("program", "Program", width=16, help="the XDP program that was counted"),
        Column("program_id", "Id", Unit.NUMBER, width=6, help="its id, as bpftool shows it"),
        *(
            Column(v, v.capitalize(), Unit.PACKETS, Kind.COUNTER, help=f"packets with verdict {v}")
            for v in VERDICTS
        ),
        *(
            Column(
                f"{v}_bytes",
                f"{v.capitalize()} B",
                Unit.BYTES,
                Kind.COUNTER,
                help=f"bytes of packets with verdict {v}",
            )
            for v in VERDICTS
        ),
        Column("bytes", "Bytes", Unit.BYTES, Kind.COUNTER, help="bytes of all packets seen"),
    ),
    ladder=(),
    order=20,
    target=TargetKind.INTERFACE,
    reach=Reach.DATA_PATH,
)
