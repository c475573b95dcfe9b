"""One row's way through the compiler, with times."""
