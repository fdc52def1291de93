"""The mind: decides, and returns effects. No I/O, no clock, no logging, no chance of its own."""
