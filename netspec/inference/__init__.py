"""Inference: from the files of images to classes with names, the same in whatever form a net comes."""
