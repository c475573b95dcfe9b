"""Training: from a spec's recipe and a data set to a run, on one process or many."""
