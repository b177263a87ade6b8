static inline struct slot *slot_of(struct who *who) {
    struct slot zero = {};
    who->pid = this_pid();
    who->uid = bpf_get_current_uid_gid();
    this_name(who->comm);
    return rows.lookup_or_try_init(who, &zero);
}

static inline void asked(u32 op, u32 what, int before) {
    struct who who = {.op = op, .what = what};
    struct slot *slot = slot_of(&who), *all = sum_of_all();
    TALLY(slot, all, asked, 1);
    if (before < 0)
        TALLY(slot, all, refused, 1);
}

static inline void answered(u32 op, u32 what, int result) {
    struct who who = {.op = op, .what = what};
    struct slot *slot = slot_of(&who), *all = sum_of_all();
    struct event event = {.op = op, .what = what, .error = -result};
    TALLY(slot, all, checked, 1);
    if (result >= 0)
        return;
    TALLY(slot, all, denied, 1);
    event.pid = who.pid;
    event.uid = who.uid;
    __builtin_memcpy(event.comm, who.comm, 16);
    log_event(&event);
}
