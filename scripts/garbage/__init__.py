"""Garbage by the seed, and what it is thrown at: shared by `scripts/campaign` and the tests."""
