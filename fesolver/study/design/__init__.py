"""Factors of a study and the points at which they are tried: lists, ranges, distributions, designs."""
