"""Churn: who is up when, by models and by records, and how a world lives by it."""
