"""Fully connected layers with bias and ReLU.

``operators.py`` is the way in, ``forward.py`` holds the kernel for few images; more are multiplied
by :mod:`netspec.kernels.conv.pointwise`.

The kernel's parameters, with sizes and the order of axes:

    x_ptr, x_pitch  input [N, K]; elements from an image to the next
    w_ptr           matrix [O, K]; contiguous
    b_ptr           bias [O], or None
    y_ptr           output [N, O], or parts of sums [splits, N, O]; contiguous
    batch           images, N
    terms           products that an output sums, K
    count           outputs of an image, O
    span            terms that one program adds
    RELU            whether negative outputs become 0
    ACCUMULATOR     the type that sums are kept in
    BATCH           a power of two, at least N
    ROWS            outputs of a program
    LANES, WIDTH    reads of 16 bytes a row at a time, and elements of one
"""
