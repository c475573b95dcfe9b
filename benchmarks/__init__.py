"""One command each; what they measured is kept in results/ with the machine it was measured on.

``engines``, ``layers``, ``measuring`` and ``timing`` hold single layers on a GPU against PyTorch's.
:mod:`netspec.timing`, which ships with the package as ``netspec bench``, has modules of these names
that are about a whole compiled net and its peers.
"""
