"""What the tissue is and how stiff it is.

Here belong densities and their kinds, the named conversions between kinds, density to modulus and strength laws, the
materials of bone, disc, cement and posterior elements with their sources, degeneration of a disc, and the one rule
that mixes the materials of a cell into its elasticity. Nothing here knows where a cell is or how a problem is solved.
"""
