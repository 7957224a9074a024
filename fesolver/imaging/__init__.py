"""From scan to segment: volumes, label schemes, checks and repair, calibration, parts of a vertebra, one resampling.

Whatever turns a CT or density volume and its labels, measured or synthetic, into one spine segment on a grid in its own
frame belongs here. Only `io` touches files.
"""
