struct who {
    u64 pid;
    char comm[16];
    char host[64];
};
struct slot { u64 lookups, failed, error, cgroup, total_ns, latency[40]; };
struct asked {
    u64 at, place; /* on the stack */
    char host[64];
};
struct event {
    u64 ns, pid, error;
    char comm[16];
    char host[64];
};
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", u64, struct asked, under_way, 4096);
