"""Triton kernels for channels-last tensors; this package imports torch and triton only."""
