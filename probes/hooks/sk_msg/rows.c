struct pair {
    u8 laddr[24], raddr[24];
    u32 lport, rport;
};
struct slot { u64 messages, bytes; };
BPF_SOCKHASH(sockets, struct pair, 16384);
BPF_TABLE("lru_hash", struct pair, struct slot, rows, 8192);
