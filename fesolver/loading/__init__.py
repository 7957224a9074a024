"""How a segment is held and pushed.

Here belong load cases in the words of the field (force or shortening, pads, offset) and their translation into what a
solver takes: rigid bodies, prescribed components and loads on the points of a mesh. Pads are rigid bodies, not stiff
cells. Nothing here solves.
"""
