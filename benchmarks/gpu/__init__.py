"""Check and time the GPU side in the few minutes that a GPU is at hand: ``make gpu``.

:mod:`~benchmarks.gpu.bundle` makes a folder that needs Python, PyTorch, Triton and NumPy only.
There ``python3 -m benchmarks.gpu FOLDER`` runs the stages of :mod:`~benchmarks.gpu.plan` in order
and appends every result to ``FOLDER/results.jsonl`` at once.  Later, on a machine without a GPU,
:mod:`~benchmarks.gpu.collect` writes the files of results from it.
"""
