"""Pools over channels-last maps: max, average, global average, and trained subsampling.

:mod:`netspec.kernels.pool.operators` has the public operators.  Each other file has a kernel or a
pair of kernels; ``geometry.py`` is shared by all.

The kernels' parameters, with sizes and the order of axes:

    x_ptr, x_pitch              input [N, H, W, C]; elements from a pixel to the next
    y_ptr, y_pitch              output [N, H', W', C]; of whole maps [parts, N, C], contiguous
    index_ptr                   places of maxima [N, H', W', C], bytes; contiguous, or None
    dy_ptr, dy_pitch            gradient of the output [N, H', W', C]
    dx_ptr                      gradient of the input [N, H, W, C]; contiguous
    coefficient_ptr, bias_ptr   parameters of subsampling, [C] each, or None
    dcoefficient_ptr, dbias_ptr
                                parts of their gradients, [parts, C] each

    batch                       images, N
    height, width               of the input, H and W
    height_out, width_out       of the output, H' and W'
    pixels                      of the whole output batch; in means of whole maps, of one map
    channels                    channels, C
    parts, count                programs that share a sum, and its divisor
    bands                       runs of ROWS output rows of an image
    patches_h, patches_w        patches of an image down and across, of DOWN x RIGHT strides
    end_h, end_w                end of the positions that a mean counts

    KERNEL_H, KERNEL_W          taps of a window, down and across
    STRIDE_H, STRIDE_W          pixels from a window to the next, down and across
    PADDING_TOP, PADDING_LEFT
    INSIDE_H, INSIDE_W          first taps, which are before the end of the map in all windows
    FIRST_H, FIRST_W            the first position that a mean counts, 0 or minus the padding
    SHARE                       factor of sums; None if windows have different factors
    RELU                        true if negative maxima become 0
    ACCUMULATOR                 type of the sums
    ROWS                        output rows per thread
    DOWN, RIGHT                 strides of a patch
    PIXELS, CHANNELS            the tile of a program
"""
