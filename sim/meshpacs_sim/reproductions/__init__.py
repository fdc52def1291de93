"""Published and analytic results, found again: one file each."""
