"""What runs is tested under the conditions in which backends are."""

from tests.backends.conftest import _one_thread, measurements

__all__ = ["_one_thread", "measurements"]
