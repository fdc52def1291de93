"""The benchmarks of `scripts/bench`, one a file."""
