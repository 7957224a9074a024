"""Solvers behind one signature: `system = prepare(problem)`, `solution = system.solve(loads)`."""
