"""Many cases: a Parquet dataset of rows, worker processes, and the loop between them; knows no finite elements."""
