"""Run a net: the compiled module, the reference, packed parameters, features, weights."""
