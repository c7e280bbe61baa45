"""What is said if there is no Ray cluster at an address."""

from __future__ import annotations

import re
import time

import pytest

from wordspot.errors import ConfigError
from wordspot.ray_start import start_ray


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:99999", "nowhere.invalid:6379", "10.0..1:6379"]
)
def test_where_no_cluster_answers_is_a_line_at_once(address: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'wordspot[cluster]'")
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="no Ray cluster answers at " + re.escape(address)):
        start_ray(address=address)
    assert time.monotonic() - begun < 60
