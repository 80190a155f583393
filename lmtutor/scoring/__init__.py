"""What a trained model is worth, and what it writes: evaluation, sampling, the neural cache, dynamic evaluation.

Imports `system`, `models` and `text`.
"""

from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import Score, evaluate, score_text
