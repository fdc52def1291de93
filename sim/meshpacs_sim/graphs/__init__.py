"""Shapes of meshes: who neighbours whom, and what a flood on such a shape must cost."""
