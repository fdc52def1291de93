"""The other fidelity: floods over arrays, compiled, up to a million nodes.

What is a twin of the engine's, or of the world's, is held to it: floods copy for copy by the tests,
`twin` message for message by `meshpacs_sim.twins`.
"""
