"""TC egress: packets and bytes at one interface's egress, every packet let on to the next."""

from probes.tc import hook

HOOK = hook("egress", order=40)
