"""Derive the sizes and counts of a net, and compare them with claims and printed tables."""
