"""Pools over channels-last maps: maxima, averages, whole maps and trained subsampling.

``maxpool.py``, ``avgpool.py``, ``gap.py`` and ``subsample.py`` hold the operators and are the way
in; the other files hold a kernel or a pair of them each, and ``geometry.py`` what all share.
"""
