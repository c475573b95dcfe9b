"""What pickles of models call that were made before modules moved."""
