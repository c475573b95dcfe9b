"""Derive the sizes and counts of a net, and compare what the spec claims and prints."""
