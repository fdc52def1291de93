"""The imaginary world that engines live in: hosts, roads, time, and all that goes wrong there."""
