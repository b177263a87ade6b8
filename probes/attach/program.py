"""Load a program for its point."""

from __future__ import annotations

from probes.attach.refusals import load_refused
from probes.kernel import bpf
from probes.point import PROGRAM_PREFIX, Point

_LOG, MOST_LOG = 1 << 20, 16384
"""Characters of the verifier's log: asked for, and kept of its end, which says what is wrong."""


def load(point: Point, insns: bytes, name: str) -> int:
    """Load a program for its point; return its fd.

    Raises Unsupported (no such type, function or tracepoint here), Denied, LoadFailed with the
    verifier's words, or another ProbeError where the host is short of something.
    """
    prog_type, attach_type, btf_id, other = point.loading()

    def asked(log: int) -> int:
        return bpf.prog_load(
            prog_type,
            insns,
            name=PROGRAM_PREFIX + name,
            expected_attach_type=attach_type,
            attach_btf_id=btf_id,
            attach_prog_fd=other,
            log=log,
        )

    try:
        return asked(0)
    except OSError as first:
        refused = first
    # Once more, for the verifier's words: asking for them always would cost 1 MB for each load.
    try:
        return asked(_LOG)
    except bpf.VerifierError as error:
        log = error.log.strip()[-MOST_LOG:]
    except OSError:
        log = ""
    raise load_refused(point, refused.errno or 0, log)
