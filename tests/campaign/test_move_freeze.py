"""How long a user is refused while he moves between two nodes on MariaDB, with eight devices at work: by default a few moves of some records, with
HEDDLE_FULL=1 fifty moves of ten thousand. `./bootstrap bench moves` prints the same table. A bound on time is about the product: this runs on
the release build (part `moves`)."""
import sys

from conftest import FULL, HERE

sys.path.insert(0, str(HERE.parent / "load"))

import moves  # noqa: E402
from lib.cluster import Cluster  # noqa: E402

MOVES, ITEMS, DEVICES = (50, 10000, 8) if FULL else (7, 3000, 8)
PART = 0.99 if FULL else 0.8  # of seven, the longest may be the machine's and not ours


def test_who_moves_with_eight_devices_at_work_is_refused_for_less_than_a_second(backends):
    cluster = Cluster(backends.folder / "freeze", backends.template, ["mysql+redis", "mysql+redis"])
    try:
        cluster.start()
        taken, seen = moves.freezes(cluster, MOVES, ITEMS, DEVICES)
    finally:
        cluster.keep_logs("move-freeze")
        bad = cluster.stop()
    assert not bad, "\n".join(bad)
    print(moves.freeze_table(taken, seen, ITEMS, DEVICES))
    assert moves.quantile([t["frozen_ms"] for t in taken], PART) < 1000
    assert seen["401"] >= len(taken)  # each move voided a credential
