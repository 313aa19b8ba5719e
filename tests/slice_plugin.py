"""pytest plugin: runs every HEDDLE_SLICE-th test, drawn by HEDDLE_SEED; for builds that are too slow for all of them.

    PYTHONPATH=tests HEDDLE_SLICE=8 HEDDLE_SEED=1 pytest -p slice_plugin tests/e2e
"""
import os
import random


def pytest_collection_modifyitems(config, items):
    every = int(os.environ.get("HEDDLE_SLICE", "1"))
    if every <= 1:
        return
    seed = os.environ.get("HEDDLE_SEED", "0")
    keep, drop = [], []
    for item in items:  # by name, so that all workers of one run draw the same
        (keep if random.Random(f"{seed}/{item.nodeid}").randrange(every) == 0 else drop).append(item)
    config.hook.pytest_deselected(items=drop)
    items[:] = keep
