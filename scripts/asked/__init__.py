"""Generated questions, and what pydicom says is their answer: for `scripts/campaign` and tests."""
