struct call {
    u64 path;
    char comm[16];
};
struct started { char comm[16], file[96]; };
struct slot { u64 calls, failed, error, pid, cgroup; };
BPF_TABLE("lru_hash", struct started, struct slot, rows, 2048);
BPF_TABLE("hash", u64, struct call, calls, 4096);
