"""What campaigns draw by chance (HEDDLE_SEED), and their size (HEDDLE_FULL; unset: a slice). A conftest takes these into its own names."""
import os
import random

import pytest

FULL = bool(os.environ.get("HEDDLE_FULL"))


@pytest.fixture
def rnd(request):
    seed = os.environ.get("HEDDLE_SEED") or str(random.SystemRandom().randrange(1 << 31))
    print(f"HEDDLE_SEED={seed}")
    return random.Random(f"{seed}/{request.node.name}")
