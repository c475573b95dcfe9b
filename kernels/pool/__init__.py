"""Pools over channels-last maps: maxima, averages, whole maps and trained subsampling.

:mod:`netspec.kernels.pool.operators` is the way in; the other files hold a kernel or a pair of them
each, and ``geometry.py`` what all share.

The kernels' parameters, with sizes and the order of axes:

    x_ptr, x_pitch              input [N, H, W, C]; elements from a pixel to the next
    y_ptr, y_pitch              output [N, H', W', C]; of whole maps [parts, N, C], contiguous
    index_ptr                   places of maxima [N, H', W', C], bytes; contiguous, or None
    dy_ptr, dy_pitch            gradient of the output [N, H', W', C]
    dx_ptr                      gradient of the input [N, H, W, C]; contiguous
    coefficient_ptr, bias_ptr   what subsampling trains, [C] each, or None
    dcoefficient_ptr, dbias_ptr
                                parts of their gradients, [parts, C] each

    batch                       images, N
    height, width               of the input, H and W
    height_out, width_out       of the output, H' and W'
    pixels                      of the whole output batch; in means of whole maps, of one map
    channels                    channels, C
    parts, count                programs that share a sum, and what it is divided by
    bands                       runs of ROWS output rows of an image
    patches_h, patches_w        patches of an image down and across, of DOWN x RIGHT strides
    end_h, end_w                where the positions end that a mean counts

    KERNEL_H, KERNEL_W          taps of a window, down and across
    STRIDE_H, STRIDE_W          pixels from a window to the next, down and across
    PADDING_TOP, PADDING_LEFT
    INSIDE_H, INSIDE_W          taps that pass the end of the map in no window
    FIRST_H, FIRST_W            the first position that a mean counts, 0 or minus the padding
    SHARE                       what sums are multiplied by; None where windows differ
    RELU                        whether negative maxima become 0
    ACCUMULATOR                 the type that sums are kept in
    ROWS                        output rows that a thread goes down
    DOWN, RIGHT                 strides of a patch
    PIXELS, CHANNELS            the tile of a program
"""
