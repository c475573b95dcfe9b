"""What is derived of a net, and what the spec claims and prints of it."""
