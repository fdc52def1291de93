"""What a clinic's administrator asks before a mesh is there: what can be had, what lines carry."""
