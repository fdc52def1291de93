"""Many worlds, each from one seed, held to the rules of the protocol."""
