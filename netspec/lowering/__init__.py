"""Lower the graph of a spec to a plan: passes, choices of implementations, steps over slots."""
