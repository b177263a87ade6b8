/* trace_kfree_skb(skb, location, reason): Linux 5.17 added the reason. A received packet in a
 * socket's queue has no device any more, but keeps the number of the one it arrived on. A packet
 * that the host's own output firewall drops has no device yet, but a route. A placeholder device
 * that replaces removed ones has number 0 and the first namespace. The id of a device's directory
 * in sysfs tells it from a later device with the same number. */

#define INLINE static inline __attribute__((always_inline))
struct where {
    u64 location, device;
    u32 reason, ifindex, netns, protocol, port, trait;
};
enum trait { NOTHING, CLOSED, RST, GROUP, SYN }; /* with the way in the next byte */
enum way { UNKNOWN, IN, CAME, THROUGH, OUT };
struct sender { u32 netns, protocol, source, port; };
struct slot { u64 packets; };
