/* A port scan makes one row per port. Ports have a map of their own that evicts nothing by itself:
 * when it is full, further ports are counted together as 0, and no count is lost. The reader makes
 * room in it. */

BPF_TABLE("lru_percpu_hash", struct where, struct slot, rows, MAP_ENTRIES);
BPF_TABLE("percpu_hash", struct where, struct slot, ports, MAP_ENTRIES);
BPF_TABLE("lru_percpu_hash", struct sender, struct slot, senders, SENDERS);

/* What is made here is sent by a socket, which has the port that it comes from. */
INLINE void count_sender(struct where *key, u32 source) {
    struct sender from = {key->netns, key->protocol, source, key->port};
    struct slot one = {.packets = 1}, *slot = senders.lookup(&from);
    if (slot)
        slot->packets++;
    else
        senders.update(&from, &one);
}

INLINE void count(struct where *key) {
    struct slot one = {.packets = 1}, *slot, *all = sum_of_all();
    if (all)
        all->packets++;
    if (key->port) {
        slot = ports.lookup(key);
        if (slot) {
            slot->packets++;
            return;
        }
        if (!ports.update(key, &one))
            return;
        key->port = 0;
    }
    slot = rows.lookup(key);
    if (slot)
        slot->packets++;
    else
        rows.update(key, &one);
}
