"""Fully connected layers with bias and ReLU.

``operators.py`` has the public operators.  ``forward.py`` has the kernel for few images; for more
images, :mod:`netspec.kernels.conv.pointwise` computes the product.

The kernel's parameters, with sizes and the order of axes:

    x_ptr, x_pitch  input [N, K]; elements from an image to the next
    w_ptr           matrix [O, K]; contiguous
    b_ptr           bias [O], or None
    y_ptr           output [N, O], or parts of sums [splits, N, O]; contiguous
    batch           images, N
    terms           products per output, K
    count           outputs per image, O
    span            terms that one program adds
    RELU            true if negative outputs become 0
    ACCUMULATOR     type of the sums
    BATCH           a power of two, at least N
    ROWS            outputs per program
    LANES, WIDTH    16-byte reads per row and step, and elements per read
"""
