"""Inference: from files of images to named classes, the same in whatever form a net comes."""
