"""How long a user is refused while he moves, with eight devices at work: p99 below a second. The figures of the whole: `./bootstrap bench
moves` prints the same table."""
import sys

from conftest import FULL, HERE

sys.path.insert(0, str(HERE.parent / "load"))

import moves  # noqa: E402
from lib.cluster import Cluster  # noqa: E402

MOVES, ITEMS, DEVICES = (50, 10000, 8) if FULL else (4, 3000, 8)


def test_a_user_of_ten_thousand_items_is_refused_for_less_than_a_second(backends):
    cluster = Cluster(backends.folder / "freeze", backends.template, ["mysql+redis", "mysql+redis"])
    try:
        cluster.start()
        taken, seen = moves.freezes(cluster, MOVES, ITEMS, DEVICES)
    finally:
        cluster.keep_logs("move-freeze")
        bad = cluster.stop()
    assert not bad, "\n".join(bad)
    print(moves.freeze_table(taken, seen, ITEMS, DEVICES))
    # Of a few moves the slowest says more about the machine than about us.
    assert moves.quantile([t["frozen_ms"] for t in taken], 0.99 if FULL else 0.5) < 1000
    assert seen["401"] >= len(taken)  # each move voided a credential
