/* trace_kfree_skb(skb, location, reason): the reason came with Linux 5.17. A received packet that
 * is queued at a socket has no device any more, but remembers the number of the one it came by.
 * What the own output firewall drops has none yet, but a route. The device that stands for those
 * that are gone has the number 0 and the first namespace, whoever's they were. What tells a
 * device from the one that has its number later is that of its folder in sysfs. */

#define INLINE static inline __attribute__((always_inline))
struct where {
    u64 location, device;
    u32 reason, ifindex, netns, protocol, port, trait;
};
enum trait { NOTHING, CLOSED, RST, GROUP, SYN };
struct slot { u64 packets; };
