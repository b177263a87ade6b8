"""ONE FILE PER KIND OF ATTACH POINT: load a program, attach it, or say in one sentence why not.

What outlives the process is recorded before it is attached (`journal`) and swept (`persistent`).
Imports `kernel`, `model` and the packages before them; knows no hook.
"""
