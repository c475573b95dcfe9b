"""Triton kernels for channels-last tensors; this package imports torch and triton only.

Maps are ``[N, H, W, C]`` tensors whose channels are adjacent in memory: contiguous tensors, or
slices of the channels of a larger tensor (:mod:`netspec.kernels.layout`).  Each package is a family
of kernels.  Its ``operators`` module registers operators with PyTorch, under ``netspec::``.  Each
other file has one kernel or a pair of kernels, in this order: formula, configurations, kernels,
launches, shipped launches.  The docstring of the package explains the parameters of its kernels.
The modules in this folder are shared by all families: windows, partial sums, launches, layouts,
arithmetic.

Without a GPU, ``TRITON_INTERPRET=1`` runs every kernel on the CPU, slowly but exactly, and
:mod:`netspec.kernels.ahead` compiles every launch for a GPU that is not present.
"""
