struct who {
    u32 pid, uid, op, what;
    char comm[16];
};
struct slot { u64 asked, refused, checked, denied; };
struct event {
    u32 pid, uid, op, what;
    int error;
    u32 unused;
    char comm[16];
};
BPF_TABLE("lru_hash", struct who, struct slot, rows, 8192);
