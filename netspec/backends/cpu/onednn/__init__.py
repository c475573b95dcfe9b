"""oneDNN's C library, called through ctypes, and the primitives that implementations launch."""
