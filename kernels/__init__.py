"""Triton kernels for channels-last tensors; this package imports torch and triton only.

Maps are ``[N, H, W, C]`` tensors whose channels lie side by side: contiguous ones, or slices of
the channels of a larger one (:mod:`netspec.kernels.layout`).  Each package is a family.  Its
``operators`` registers with PyTorch, under ``netspec::``; its other files hold a kernel or a pair
of them, in one order: what is computed, configurations, kernels, launches, what is shipped.  Its
docstring explains the kernels' parameters.  What families share stands beside them: windows, sums
of parts, launches, layouts, arithmetic.

Without a GPU, ``TRITON_INTERPRET=1`` runs every kernel on the CPU, slowly and exactly, and
:mod:`netspec.kernels.ahead` compiles every launch for a GPU that is elsewhere.
"""
