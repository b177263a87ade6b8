"""The four sources behind one protocol: live, replay, remote, demo. May import all of `probes`."""
