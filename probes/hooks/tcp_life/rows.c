/* A row is a remote port and the process that connects to it, or a local port that others connect
 * to (`inward`; its owner is the process that closed last). `figures` are the connection's at
 * this moment. */

struct side {
    u32 caller, port, inward, zero;
    char name[16];
};
struct slot {
    u64 established, closed, aborted, closed_there, retransmits, rx, tx, total_ns, total_srtt;
    u64 latency[40];
    u32 owner, zero_owner;
    char owner_name[16];
};
struct sums {
    u64 established, closed, aborted, closed_there, retransmits, rx, tx, total_ns, total_srtt;
    u64 latency[40];
};
struct connection {
    u64 at;
    u32 caller, inward, lport, rport, retransmits, owner;
    char name[16], owner_name[16];
    u8 laddr[24], raddr[24];
};
struct event {
    u64 ns, rx, tx;
    u32 pid, inward, lport, rport, retransmits, srtt_us, aborted, unused;
    char comm[16];
    u8 laddr[24], raddr[24];
};
struct figures {
    u64 rx, tx;
    u32 srtt_us, retransmits;
};
BPF_TABLE("lru_hash", struct side, struct slot, rows, MAX_ROWS);
BPF_TABLE("hash", u64, struct connection, open, 32768);
