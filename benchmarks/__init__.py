"""Benchmarks, one command per file.  Results are stored in results/ with the machine.

``engines``, ``layers``, ``measuring`` and ``timing`` compare single layers on a GPU with PyTorch's.
:mod:`netspec.timing`, which is part of the package as ``netspec bench``, has modules of the same
names that compare a whole compiled net with its peers.
"""
