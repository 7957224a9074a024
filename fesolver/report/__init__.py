"""What a person reads: figures, the HTML report, the picture of a check, progress lines and the doctor's findings.

Here belongs everything that turns a finished result folder, or a study about to run, into something to look at. It
reads the files that `fesolver.study` wrote and computes no outcome of its own: a number that is not in the results is
not in the report.
"""
