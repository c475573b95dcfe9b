"""Convolution with bias and ReLU: five forward kernels, two gradients, one way in.

:mod:`netspec.kernels.conv.operators` is the way in.
"""
