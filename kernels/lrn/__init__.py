"""Local response normalisation across channels, alone and with the max-pool after it.

``operators.py`` has the public operators.  ``forward.py``, ``backward.py`` and ``pooled.py`` have
the kernels.  ``scales.py`` is shared by all kernels; with ``chunks.py`` the fast ones read
channels; ``ranks.py`` has the comparisons of the max-pool.

The kernels' parameters, with sizes and the order of axes:

    x_ptr, x_pitch          input [N, H, W, C]; elements from a pixel to the next
    y_ptr, y_pitch          output [N, H, W, C], of a pool [N, H', W', C]
    dy_ptr, dy_pitch        gradient of the output [N, H, W, C]
    dx_ptr, dx_pitch        gradient of the input [N, H, W, C]
    direct_ptr, terms_ptr   values between two launches of the gradient, [N, H, W, C]; contiguous

    height, width           of the input, H and W
    height_out, width_out   of the pool's output, H' and W'
    pixels                  of the whole batch that is written
    channels                channels, C
    part, PART              channels of a group
    reach                   channels of a window on each side of its middle, n // 2
    items                   chunks to compute; in the pool, of COLUMNS outputs each
    rows                    output rows of the pool that a thread computes

    CHANNELS                channels, where they are compiled in
    N, K, ALPHA, BETA       n, k, alpha and beta of the formula
    HALO, X_HALO            channels that are read on each side of a chunk; for x, if it needs more
    CHUNK, BLOCK            channels of a chunk, and chunks of a program
    KERNEL_H, KERNEL_W      taps of the pool's windows, down and across
    STRIDE_H, STRIDE_W      pixels from a window to the next, down and across
    PADDING_TOP, PADDING_LEFT
    OVERLAP                 rows that a window of the pool shares with the next
    ACCUMULATOR             type of the sums
    ROWS, COLUMNS           pixels and channels of a program; in the pool, outputs per thread
"""
