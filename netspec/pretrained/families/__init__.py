"""Tables of the names in published weights: one file per family."""
