"""oneDNN, called directly: its C library, and the primitives that the ways of the CPU launch."""
