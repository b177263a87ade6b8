"""Attach points: load a program, attach it, say in a sentence why it was refused.

What outlives the process is recorded before it is attached (`journal`) and swept (`persistent`).
Imports `kernel`, `model` and what stands before them; knows no hook.
"""
