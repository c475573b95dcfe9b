"""What runs is tested under the conditions in which backends are."""

from tests.backends.conftest import measurements

__all__ = ["measurements"]
