"""What a table of cases says: statistics, sensitivities, spreads, convergence, differences of two tables."""
