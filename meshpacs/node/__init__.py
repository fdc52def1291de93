"""The hallway: the only place where the rooms meet."""
