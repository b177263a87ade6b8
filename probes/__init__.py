"""The kernel side: hooks, ladders, and the numbers they yield. Knows nothing of the screen.

    hooks/ declare a Hook     ->  ladder.Attachment climbs its rungs and reads
    a map's rows = a Sample   ->  analysis.Snapshot: rates, made of two samples
    live | replay | remote | demo: four `Source`s with the same samples(hook)

The packages, lowest first; each imports only those before it (tests/test_imports.py):

    errors units drop_rule          errors, text, and how a drop rule is written
    point                           what an attach point is
    kernel                          how the kernel is asked: one file per interface
    model, source                   the frozen values, and the protocol of all sources
    attach compile analysis         points, one file each; C in, instructions out; answers
    toolkit ladder recording        for hook files; which rung is in use; moments as bytes
    foreign doctor droprules        other people's programs; what a host allows; rules at work
    hooks                           ONE FILE OR FOLDER PER HOOK
    custom                          hooks that a user writes
    sources                         live, replay, remote, demo
"""
