"""The artifact: a compiled net in a folder or a single file, checked when it is loaded.

Python does not run or unpickle any part of it.  Its content and its guarantees are described in
docs/artifact.md.
"""
