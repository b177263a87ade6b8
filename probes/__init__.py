"""The kernel side: hooks, ladders, and the numbers that come of them. Knows no screen.

hooks/*.py declare   ->  attachment.py walks the ladder and reads
bpf map -> Sample    ->  snapshot.Trail makes a Snapshot of two samples
live | replay | remote | demo give the same samples(hook); who shows them cannot tell which
"""
