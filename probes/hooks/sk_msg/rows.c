struct pair {
    u8 laddr[24], raddr[24];
    u32 lport, rport;
};
/* cgroup, pid: of who sent last. */
struct slot { u64 messages, bytes, cgroup, pid; };
BPF_SOCKHASH(sockets, struct pair, 16384);
BPF_TABLE("lru_hash", struct pair, struct slot, rows, 8192);
