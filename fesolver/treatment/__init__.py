"""What a surgeon changes: plans and their effect on the tissue of a mesh.

Here belong cement fill patterns and, later, balloon cavities, leakage and implants. A treatment takes a mesh and its
tissue and returns new ones with other regions; it never edits its input, never solves, and reports what it did.
"""
