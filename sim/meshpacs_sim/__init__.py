"""Imaginary meshes: the real engine, many copies, one heap of events, and a seed."""
