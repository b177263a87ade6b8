/* Two variants: the first calls a helper that the second avoids, for kernels without it
 * (bpf_xdp_get_buff_len: Linux 5.18) or that hide their memory (lockdown). */

int xdp(u64 *ctx) {
    struct xdp_buff *xdp = ARG(ctx, 0, struct xdp_buff *);
    u32 verdict = ctx[1];
    u64 length = ((u64 (*)(void *))188)(xdp);
    count(xdp->rxq->dev, 0, verdict > 4 ? 0 : verdict, 1, length);
    return 0;
}

int xdp_linear(u64 *ctx) {
    struct xdp_buff *xdp = ARG(ctx, 0, struct xdp_buff *);
    u32 verdict = ctx[1];
    u64 length = (u64)xdp->data_end - (u64)xdp->data;
    count(xdp->rxq->dev, 0, verdict > 4 ? 0 : verdict, 1, length);
    return 0;
}
