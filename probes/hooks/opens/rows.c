struct who {
    u64 pid;
    char comm[16];
};
struct slot { u64 opens, failed, error, cgroup; };
struct event {
    u64 pid;
    s64 result;
    char comm[16], path[240];
};
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", u64, u64, calls, 8192);
