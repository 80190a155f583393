"""How torch's threads wait for one another; imported before torch, which asks once.

OpenMP's threads spin while they wait. Alone on a machine that is fastest; beside other work the spinning takes the
processor from whoever is waited for, and training falls to a tenth of its speed. Waiting asleep after a short spin
costs a few per cent on a quiet machine and keeps a busy one usable. A policy of your own is left as it is.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
