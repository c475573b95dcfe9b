"""Training: run the recipe in a spec's ``train`` section on data."""
