"""Training: what a spec's ``train`` section says, run on data."""
