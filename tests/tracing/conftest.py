from __future__ import annotations

from tests.backends.conftest import measurements

__all__ = ["measurements"]
