/* A handshake may take several calls: it begins with the first on a session, and each call may
 * decide it. OpenSSL's SSL_get_error tells whether a call that returned -1 only has to wait; a
 * session freed before that was given up. A nested call (SSL_connect calls SSL_do_handshake) is
 * on the same session, and decides it once. */

static inline void who_is(struct who *who, u64 library) {
    who->pid = this_pid();
    who->library = library;
    this_name(who->comm);
}

static inline void called(u64 object) {
    u64 thread = bpf_get_current_pid_tgid();
    struct session session = {.pid = thread >> 32, .object = object};
    struct begin now = {.at = bpf_ktime_get_ns()};
    under_way.insert(&session, &now);
    struct begin *begun = under_way.lookup(&session);
    if (begun)
        begun->undecided = 0;
    if (!begun || calls.update(&thread, &object))
        not_counted();
}

static inline void decided(struct session *session, u64 library, u64 error) {
    struct begin *begun = under_way.lookup(session);
    struct event event = {.library = library, .error = error};
    struct who key = {};
    struct slot *slot, *all = sum_of_all();
    if (!begun)
        return;
    event.ns = bpf_ktime_get_ns() - begun->at;
    under_way.delete(session);
    who_is(&key, library);
    event.pid = key.pid;
    __builtin_memcpy(event.comm, key.comm, 16);
    slot = row_of(&key);
    u64 bucket = bucket_of(event.ns, 40);
    TALLY(slot, all, handshakes, 1);
    if (error) {
        TALLY(slot, all, failed, 1);
    } else {
        TALLY(slot, all, completed, 1);
        TALLY(slot, all, total_ns, event.ns);
        TALLY(slot, all, latency[bucket], 1);
    }
    log_event(&event);
}

/* Where the end of its last call was missed, it may have succeeded. */
static inline void given_up(u64 object, u64 library) {
    struct session session = {.pid = bpf_get_current_pid_tgid() >> 32, .object = object};
    struct begin *begun = under_way.lookup(&session);
    if (begun && !begun->undecided) {
        under_way.delete(&session);
        not_counted();
        return;
    }
    decided(&session, library, GIVEN_UP);
}

static inline void not_yet(struct session *session) {
    struct begin *begun = under_way.lookup(session);
    if (begun)
        begun->undecided = 1;
}

static inline void version(u64 library, u64 number) {
    struct who key = {};
    who_is(&key, library);
    versions.update(&key, &number);
}

/* The session whose call this thread ends. */
static inline int ended(struct session *session) {
    u64 thread = bpf_get_current_pid_tgid(), *object = calls.lookup(&thread);
    if (!object)
        return 0;
    session->pid = thread >> 32;
    session->object = *object;
    calls.delete(&thread);
    return 1;
}

int openssl_begin(struct pt_regs *ctx) {
    called(PT_REGS_PARM1(ctx));
    return 0;
}
int openssl_end(struct pt_regs *ctx) {
    struct session session = {};
    int result = PT_REGS_RC(ctx);
    if (!ended(&session))
        return 0;
    if (result >= 0)
        decided(&session, OPENSSL, !result);
    else
        not_yet(&session);
    return 0;
}
int openssl_why(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct session session = {.pid = thread >> 32, .object = PT_REGS_PARM1(ctx)};
    struct begin *begun = under_way.lookup(&session);
    if (!begun || !begun->undecided)
        questions.delete(&thread); /* of an earlier call whose return was missed */
    else if (questions.update(&thread, &session.object))
        not_counted();
    return 0;
}
int openssl_because(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid(), *object = questions.lookup(&thread);
    struct session session = {.pid = thread >> 32};
    int error = PT_REGS_RC(ctx);
    if (!object)
        return 0;
    session.object = *object;
    questions.delete(&thread);
    if (error == 1 || error == 5 || error == 6) /* SSL_ERROR_SSL, _SYSCALL, _ZERO_RETURN */
        decided(&session, OPENSSL, error);
    return 0;
}
int openssl_free(struct pt_regs *ctx) {
    given_up(PT_REGS_PARM1(ctx), OPENSSL);
    return 0;
}
int openssl_version(struct pt_regs *ctx) {
    char name[8] = {}; /* TLSv1, TLSv1.3 */
    bpf_probe_read_user(name, 7, (void *)PT_REGS_RC(ctx));
    if (name[0] == 'T')
        version(OPENSSL, name[5] == '.' ? 1 + name[6] - '0' : 1);
    return 0;
}

int gnutls_begin(struct pt_regs *ctx) {
    called(PT_REGS_PARM1(ctx));
    return 0;
}
int gnutls_end(struct pt_regs *ctx) {
    struct session session = {};
    int result = PT_REGS_RC(ctx);
    if (!ended(&session))
        return 0;
    /* GNUTLS_E_AGAIN, _INTERRUPTED, _WARNING_ALERT_RECEIVED, _GOT_APPLICATION_DATA */
    if (result != -28 && result != -52 && result != -16 && result != -38)
        decided(&session, GNUTLS, result < 0 ? -(s64)result : 0);
    else
        not_yet(&session);
    return 0;
}
int gnutls_free(struct pt_regs *ctx) {
    given_up(PT_REGS_PARM1(ctx), GNUTLS);
    return 0;
}
int gnutls_version(struct pt_regs *ctx) {
    int number = PT_REGS_RC(ctx); /* GNUTLS_TLS1_0 is 2 */
    if (number >= 2 && number <= 5)
        version(GNUTLS, number - 1);
    return 0;
}
int idle(struct pt_regs *ctx) { return 0; }
