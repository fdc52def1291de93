"""The engine's twin: what `meshpacs.engine` does under `world`, again, over arrays and compiled.

It is written a second time on purpose. Its rooms are the engine's (`flood`, `answering`,
`inquiry`, `peers`) and the world's (`roads`, `posting`, `links`), and each function does what the
one of that name there does, in the same order, so that every message, every number in it and
every microsecond come out the same. `meshpacs_sim.twins` holds the two to each other.

What it knows is an overlay whose links are given (`frozen_overlay`) and are dialled again as they
fail; members that all ask and answer; archives that answer with no row, with one, or not at all;
nodes that die, with their machine or without, and come back; queries to everyone, to balls and to
rings of balls, some cancelled. What it does not know: clogged, slow and divided roads, frozen
nodes, wrong clocks, liars, a roster that changes, an overlay that grows by itself. Signatures are
always good here, so nobody is ever blamed.
"""
