"""What demo, counts, campaigns and benchmarks stand on: nodes as processes, and images for them."""
