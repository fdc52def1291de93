"""The campaigns of `scripts/campaign`, one a file."""
