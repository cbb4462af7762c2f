"""The folder of static files."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _static_files(settings: Any) -> None:
    """The folder that collectstatic fills; WhiteNoise warns where it is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
