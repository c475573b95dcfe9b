"""Triton kernels for channels-last tensors; this package imports torch and triton only.

Maps are ``[N, H, W, C]`` tensors whose channels lie side by side: contiguous ones, or slices of
the channels of a larger one (:mod:`netspec.kernels.layout`).  Each file holds one kernel family in
one order: what it computes, its configurations, its kernels, its launches, its operators.  The
operators are registered with PyTorch under ``netspec::``.

Without a GPU, ``TRITON_INTERPRET=1`` runs every kernel on the CPU, slowly and exactly, and
:mod:`netspec.kernels.ahead` compiles every launch for a GPU that is elsewhere.
"""
