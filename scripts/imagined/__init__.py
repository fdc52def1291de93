"""Imagined disks: what may be on one when the power is cut, and a file system that records."""
