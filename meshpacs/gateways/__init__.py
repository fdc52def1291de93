"""The front doors: other people's protocols."""
