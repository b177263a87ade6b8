struct who {
    u64 cgroup;
    u32 pid, unused;
    char comm[16];
};
struct slot { u64 tx_packets, tx_bytes, rx_packets, rx_bytes; };
struct owner {
    u32 pid;
    char comm[16];
};
BPF_TABLE("lru_percpu_hash", struct who, struct slot, rows, 4096);
