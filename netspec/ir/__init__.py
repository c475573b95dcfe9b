"""The net as data: what a spec means, and what passes rewrite."""
