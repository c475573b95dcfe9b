"""Local response normalisation across channels, alone and with the pool after it.

``operators.py`` is the way in.  ``scales.py`` holds what all kernels share, ``chunks.py`` how the
fast ones read channels; ``forward.py``, ``backward.py`` and ``pooled.py`` (which compares
``ranks.py``) hold the kernels.

The kernels' parameters, with sizes and the order of axes:

    x_ptr, x_pitch          input [N, H, W, C]; elements from a pixel to the next
    y_ptr, y_pitch          output [N, H, W, C], of a pool [N, H', W', C]
    dy_ptr, dy_pitch        gradient of the output [N, H, W, C]
    dx_ptr, dx_pitch        gradient of the input [N, H, W, C]
    direct_ptr, terms_ptr   between two launches of the gradient, [N, H, W, C]; contiguous

    height, width           of the input, H and W
    height_out, width_out   of the pool's output, H' and W'
    pixels                  of the whole batch that is written
    channels                channels, C
    part, PART              channels of a group
    reach                   channels that a window reaches to either side, n // 2
    items                   chunks to compute; in the pool, of COLUMNS outputs each
    rows                    output rows of the pool that a thread walks down

    CHANNELS                channels, where they are compiled in
    N, K, ALPHA, BETA       n, k, alpha and beta of the formula
    HALO, X_HALO            channels that are read on either side of a chunk, and of x where more
    CHUNK, BLOCK            channels of a chunk, and chunks of a program
    KERNEL_H, KERNEL_W      taps of the pool's windows, down and across
    STRIDE_H, STRIDE_W      pixels from a window to the next, down and across
    PADDING_TOP, PADDING_LEFT
    OVERLAP                 rows that a window of the pool shares with the next
    ACCUMULATOR             the type that sums are kept in
    ROWS, COLUMNS           pixels and channels of a program; of a pool, COLUMNS outputs a thread
"""
