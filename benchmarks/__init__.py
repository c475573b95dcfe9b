"""One command each; what they measured is kept in results/ with the machine it was measured on.

Here single layers are held against PyTorch's: ``engines``, ``layers``, ``measuring`` and ``timing``
are about one operator of a GPU.  :mod:`netspec.bench` is what ``netspec bench`` runs: its modules of
these names are about a whole compiled net and its peers, and ship with the package.
"""
