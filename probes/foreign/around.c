/* In a TCX chain, directly before and behind a program: packets that came to it, and packets that
 * went on. A GSO packet counts as its segments. */

static inline int pass(struct __sk_buff *skb, u32 behind) {
    u64 identity = who_is_it();
    u32 segments = skb->gso_segs, egress = identity >> 32;
    struct where key = {.program = (u32)identity, .ifindex = skb->ifindex, .egress = egress};
    add(&key, behind, segments ? segments : 1, skb->len);
    return -1;
}

int before(struct __sk_buff *skb) { return pass(skb, 0); }

int behind(struct __sk_buff *skb) { return pass(skb, 1); }
