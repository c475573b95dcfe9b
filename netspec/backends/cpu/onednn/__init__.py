"""oneDNN, called directly: its C library, and the primitives that implementations launch."""
