struct who {
    u32 pid;
    u16 rport;
    u16 unused;
    char comm[16];
    u8 raddr[24];
};
struct slot {
    u64 connects, established, refused, unreachable, timed_out, gave_up, no_port, other, total_ns;
    u64 latency[40], error, cgroup;
};
struct attempt {
    u64 at;
    u32 pid;
    u16 rport;
    u8 sent, deferred;
    char comm[16];
    u8 raddr[24];
    u64 socket; /* its inode's number; 0: it has none, or the key is no address */
    u32 netns, zero;
    u64 cgroup;
};
struct event {
    u64 ns;
    u32 pid;
    u16 rport;
    u16 unused;
    int error;
    u32 pad;
    char comm[16];
    u8 raddr[24];
};
BPF_TABLE("lru_hash", struct who, struct slot, rows, 8192);
BPF_TABLE("hash", u64, struct attempt, pending, 16384);
