"""What drivers call their counters at XDP. That the numbers are right: tests/kernel."""

from __future__ import annotations

import pytest

from probes.kernel.ethtool import at_xdp


@pytest.mark.parametrize(
    ("counters", "told"),
    [
        (  # veth
            {"peer_ifindex": 2, "rx_queue_0_xdp_packets": 21, "rx_queue_1_xdp_packets": 4,
             "rx_queue_0_xdp_bytes": 966, "rx_queue_0_drops": 5, "rx_queue_0_xdp_drops": 9,
             "rx_queue_0_xdp_tx": 3, "rx_queue_0_xdp_tx_errors": 4,
             "tx_queue_0_xdp_xmit": 7, "tx_queue_0_xdp_xmit_errors": 8},
            {"packets": 25, "drop": 9, "tx": 3, "tx_errors": 4},
        ),
        (  # virtio_net: what its sending queues lose may have come from anywhere
            {"rx0_xdp_packets": 5, "rx1_xdp_packets": 6, "rx0_xdp_drops": 1, "rx0_xdp_redirects": 2,
             "tx0_xdp_tx": 9, "tx0_xdp_tx_drops": 9},
            {"packets": 11, "drop": 1, "redirect": 2},
        ),
        (  # mlx5 and mlx4: of all queues, and once more of each
            {"rx_xdp_drop": 10, "rx0_xdp_drop": 4, "rx1_xdp_drop": 6, "rx_xdp_tx_xmit": 2,
             "rx_xdp_tx_full": 1, "rx_xdp_redirect_fail": 3, "tx_xdp_xmit": 5},
            {"drop": 10, "tx": 2, "tx_errors": 1, "redirect_errors": 3},
        ),
        (  # ena
            {"queue_0_rx_xdp_aborted": 1, "queue_0_rx_xdp_drop": 2, "queue_1_rx_xdp_drop": 3,
             "queue_0_rx_xdp_pass": 4, "queue_0_tx_queue_stop": 5},
            {"aborted": 1, "drop": 5, "pass": 4},
        ),
        (  # gve and enetc
            {"rx_xdp_aborted[0]": 1, "rx_xdp_drop[0]": 2, "rx_xdp_drop[1]": 3,
             "rx_xdp_redirect_errors[0]": 4, "tx_xdp_xmit[0]": 5},
            {"aborted": 1, "drop": 5, "redirect_errors": 4},
        ),
        ({"Rx ring  0 XDP drops": 3, "Rx ring  1 XDP drops": 4}, {"drop": 7}),
        ({"rx_packets": 3, "rx_dropped": 4, "rx_errors": 1}, {}),
    ],
)  # fmt: skip
def test_counters_at_xdp_by_what_they_mean(counters: dict[str, int], told: dict[str, int]) -> None:
    assert at_xdp(counters) == told
