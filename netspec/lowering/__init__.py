"""From the net of the spec to a plan: passes, choices, steps over slots."""
