"""Convolution with bias and ReLU: seven forward kernels, two gradients.

:mod:`netspec.kernels.conv.operators` has the public operators;
:mod:`netspec.kernels.conv.configurations` chooses the kernel.  A convolution is computed as a
product of rows x columns over depth.  In the forward pass these are output pixels x filters, over
taps and channels (``tiles.py``).

The kernels' parameters, with sizes and the order of axes:

    x_ptr, x_pitch          input [N, H, W, C]; elements from a pixel to the next
    w_ptr                   filters [O, kh, kw, C / groups]; contiguous
    b_ptr                   bias [O], or None
    y_ptr, y_pitch          output [N, H', W', O]; in gradients that of the ReLU, or None
    y_0_ptr ... y_3_ptr     outputs of siblings, each [N, H, W, its filters]; None without a sibling
    y_0_pitch ... y_3_pitch
                            elements from a pixel to the next of each
    dy_ptr, dy_pitch        gradient of the output [N, H', W', O]
    dx_ptr, dx_pitch        gradient of the input [N, H, W, C]
    dw_ptr, db_ptr          gradients of filters [runs, O, kh, kw, C / groups] and bias [runs, O]
    parts_ptr               parts of sums [splits, N, H', W', O]; contiguous
    x_rows, w_rows, y_rows  tensor descriptors of x [pixels, C], w [O, taps C] and y [pixels, O]
    x_blocks, y_blocks      tensor descriptors of x [N, H, W, C] and y [N, H', W', O]
    rows_ptr                x with its padding (``narrow``) [N, rows_height, rows_width, PITCH];
                            ``x_rows`` then has the axes [N, H', kh, W', kw PITCH]
    taps_ptr                filters (``narrow``) [O, kh, LENGTH]; ``w_rows`` then is [O, kh LENGTH]

    batch                   images, N
    height, width           of the input, H and W
    height_out, width_out   of the output, H' and W'
    rows_height, rows_width  of x with its padding
    pixels                  of the whole output batch, N H' W'; of x with its padding, if copied
    values                  of all filters in ``taps_ptr``
    channels, count         channels and filters of one group
    count_0 ... count_3     filters of each sibling
    row_blocks, column_blocks
                            blocks of pixels that cover an image, down and across
    pixel_blocks            blocks of all images
    run                     terms that a program adds: channels (``split``), pixels (gradients)

    KERNEL_H, KERNEL_W      taps down and across, kh and kw
    CHANNELS                channels, where they are compiled in
    PITCH                   channels of x with its padding: CHANNELS and zeros
    STEPS, LENGTH           steps of DEPTH values in a row of a window; their values
    STRIDE_H, STRIDE_W      pixels from a window to the next, down and across
    PADDING_TOP, PADDING_LEFT
    DILATION_H, DILATION_W  pixels from a tap to the next, down and across
    RELU                    true if negative outputs become 0
    ACCUMULATOR             type of the sums
    PRECISION               precision of float32 products, "ieee" or "tf32"
    UNIT                    divisor of pitches and channels, made known to the compiler
    BLOCK_H, BLOCK_W        a block of pixels, down and across; ROWS pixels
    ROWS, COLUMNS, DEPTH    the tile of a program
    COPIED                  pixels or values that a program copies
"""
