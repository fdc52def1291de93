"""What may be said of a number that chance has made, and how surely. Knows nothing of meshes."""
