"""TC ingress: packets and bytes at one interface's ingress, every packet let on to the next."""

from probes.tc import hook

HOOK = hook("ingress", order=30)
