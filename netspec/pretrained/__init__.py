"""Pretrained weights of other frameworks, converted for a spec.

A file becomes layers in PyTorch's layout (``formats``), each layer is paired with a stage of the
net (by the names of a known family, ``families``, or by structure, ``pairing``), its tensors are
brought into the shapes of the stage (``layouts``), and the result is compared with the source where
that can be run (``checks``).
"""
