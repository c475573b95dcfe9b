"""Files that are read and written whole, and checked."""
