struct who {
    u64 pid, protocol;
    char comm[16];
};
struct slot { u64 bytes, sends, failed; };
BPF_TABLE("lru_percpu_hash", struct who, struct slot, rows, 8192);
