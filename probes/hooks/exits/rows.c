struct ended {
    char comm[16], parent[16];
    u64 code;
};
struct slot { u64 ends, lived_ns, pid, cgroup; };
BPF_TABLE("lru_hash", struct ended, struct slot, rows, 4096);
