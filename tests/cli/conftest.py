"""Nothing here reads or writes the measurements of the user."""

from __future__ import annotations

from tests.backends.conftest import measurements

__all__ = ["measurements"]
