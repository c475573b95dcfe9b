"""The artifact: a compiled net in a folder or a single file, checked when it is loaded.

Nothing in it is run by Python or unpickled.  What stands in it, and what it guarantees, is in
docs/artifact.md.
"""
