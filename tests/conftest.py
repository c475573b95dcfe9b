from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "netspec", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("netspec")


@pytest.fixture(scope="session")
def photograph() -> Path:
    """A real photograph, 427 x 640, that comes with scikit-learn."""
    import sklearn.datasets

    return Path(sklearn.datasets.__path__[0]) / "images" / "china.jpg"
