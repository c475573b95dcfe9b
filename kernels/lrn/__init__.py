"""Local response normalisation across channels, alone and with the pool behind it.

``operators.py`` is the way in.  ``scales.py`` holds what all kernels share, ``chunks.py`` how the
fast ones read channels; ``forward.py``, ``backward.py`` and ``pooled.py`` (which compares
``ranks.py``) hold the kernels.
"""
