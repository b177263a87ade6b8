#define OPENSSL 1
#define GNUTLS 2
#define GIVEN_UP 4096
struct who {
    u64 pid, library;
    char comm[16];
};
struct slot { u64 handshakes, failed, completed, total_ns, latency[40]; };
struct session { u64 pid, object; };
struct begin { u64 at, undecided; };
struct event {
    u64 ns, pid, library, error;
    char comm[16];
};
BPF_TABLE("lru_hash", struct who, struct slot, rows, 4096);
BPF_TABLE("hash", struct session, struct begin, under_way, 8192);
BPF_TABLE("hash", u64, u64, calls, 4096);
BPF_TABLE("hash", u64, u64, questions, 4096);
BPF_TABLE("lru_hash", struct who, u64, versions, 4096);
