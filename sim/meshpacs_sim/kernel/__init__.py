"""The other fidelity: floods over arrays, compiled, up to a million nodes.

What the engine does it does message for message; `trials/twins` holds the two to each other.
"""
