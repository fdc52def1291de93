"""Ways to search, and ways to place copies: one file each, all behind the same two interfaces."""
