"""Studies: configuration, the pipeline from input to outcomes, the runner and the result folder."""
