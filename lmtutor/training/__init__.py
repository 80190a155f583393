"""How a model learns: the loop, and around it configs, optimizers, checkpoints, stopping and resuming.

Imports `system`, `models`, `text` and `scoring`.
"""

from lmtutor.training.checkpoint import load_checkpoint, save_checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.extend import extend_vocabulary
from lmtutor.training.session import fit
