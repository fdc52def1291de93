"""The engine and its twin in the kernel, held to each other: one scenario, two runs, equal rows."""
