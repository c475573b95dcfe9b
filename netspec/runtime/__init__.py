"""What runs: the compiled module, the reference, packed parameters, features."""
