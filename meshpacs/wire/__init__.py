"""The mesh's own language, without I/O: messages, frames, handshakes, rosters, chunks."""
