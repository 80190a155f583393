"""How torch's threads wait for one another; imported before torch, which asks once.

OpenMP's threads spin while they wait. Alone on a machine that is fastest; beside other work the spinning takes the
processor from the thread that is waited for. Waiting asleep is slower on a quiet machine and faster on a busy one: with
two threads on two cores about an eighth slower alone, and about twice as fast beside one competing process
(`data/runs/benchmark-waiting`). A policy that you set is left as it is.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
