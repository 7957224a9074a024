"""What a solved segment says: numbers per level and per disc, and how far each of them can be trusted.

Here belongs everything computed from fields, reactions and displacements that already exist: stiffness, endplate
bulge and stress, disc pressure, load share, energy, yielding, strength, balance of cut forces, the change between two
states with its numerical floor, and the published bands the numbers are held against. An outcome works on region and
surface names, frames and fields, whatever the cells are; it never solves, and says which solves it needs.
"""
