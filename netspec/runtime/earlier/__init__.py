"""Functions that older pickles of models call, from before modules moved."""
