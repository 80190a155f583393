"""The language models, by name and by config: recurrent, AWD, QRNN, window, n-grams, attention, states; heads.

Imports `system`.
"""

from lmtutor.models.base import LanguageModel
from lmtutor.models.ngram import NGramLM
from lmtutor.models.registry import build_model, describe, model_config, model_names
