"""How soon nodes refuse whom a directory has given up: within a second.

    soon = Soon(cluster)
    soon.refused(client, other)     # at once after the change
    soon.judge()                    # when the cluster is stopped
"""
import statistics
import time

from .processes import wait_until
from .wire import SECOND_S


class Soon:
    """Two things are measured, so that a machine that stands still in the wrong moment is no fault of ours. Each client by itself is refused
    within a second, or else by the second question that his node asks the directories after the change, four of which make a second. And half
    of all are refused within a second, whatever the machine does. (Of one or two, as a slice may have drawn, that says nothing.)"""

    def __init__(self, cluster):
        self.cluster, self.took = cluster, []

    def refused(self, *clients):
        """Until all are refused: by password or by token."""
        began, heard, left = time.monotonic(), self.cluster.word(), list(clients)

        def all_refused():
            due = heard()  # a request that begins now must be refused
            left[:] = [c for c in left if c.get("/info/collections", expect=(200, 401)).status != 401]
            assert not (left and due and time.monotonic() - began > SECOND_S), f"served {time.monotonic() - began:.2f} s after his node heard of it"
            return not left

        wait_until(all_refused, "refused", 120)
        self.took.append(time.monotonic() - began)

    def judge(self):
        """What is wrong with all of them, or nothing."""
        slow = len(self.took) > 2 and statistics.median(self.took) > SECOND_S
        return [f"refused only after {self.took} s"] if slow else []
