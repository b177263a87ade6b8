"""What is wrong, how much of it, since when and because of whom: one case for each cause.

    claims of each hook (`detectors/`) -> joined by what is counted (`joined`) -> findings (`log`)

Pure: the same for a live host, a recording and another host, on the screen and out of it.
"""
