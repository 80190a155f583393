"""Recurrent language models, by hand and at scale.

>>> import lmtutor as lm
>>> corpus = lm.load_corpus("baker-street")
>>> model = lm.build_model("lstm-200", corpus.vocab)
>>> history = lm.fit(model, corpus, lm.TrainConfig(epochs=1))
>>> lm.evaluate(model, corpus.test).perplexity
"""

from lmtutor import plots, widgets
from lmtutor.cache import NeuralCache, tune_cache
from lmtutor.checkpoint import load_checkpoint, save_checkpoint
from lmtutor.classroom.hints import check
from lmtutor.corpora import Corpus, corpus_available, list_corpora, load_corpus
from lmtutor.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.errors import LMTutorError
from lmtutor.evaluate import Score, evaluate, score_text
from lmtutor.finetune import finetune
from lmtutor.generate import generate
from lmtutor.models import build_model, describe, model_names
from lmtutor.models.extend import extend_vocabulary
from lmtutor.models.ngram import NGramLM
from lmtutor.notebook import corpus_here
from lmtutor.plots import (
    plot_gates,
    plot_gradient_norms_by_lag,
    plot_history,
    plot_perplexities,
    plot_roofline,
    plot_run_curves,
    plot_surprisal,
    plot_waterfall,
    plot_zipf,
)
from lmtutor.pretrained import load_pretrained
from lmtutor.published import published_curve, published_table
from lmtutor.recipe import read_recipe
from lmtutor.runs import find_run, recorded_runs, train_recipe
from lmtutor.text import Vocabulary
from lmtutor.train import TrainConfig, fit

__all__ = [
    "Corpus",
    "LMTutorError",
    "NGramLM",
    "NeuralCache",
    "Score",
    "TrainConfig",
    "Vocabulary",
    "build_model",
    "check",
    "corpus_available",
    "corpus_here",
    "describe",
    "dynamic_evaluate",
    "evaluate",
    "extend_vocabulary",
    "find_run",
    "finetune",
    "fit",
    "generate",
    "gradient_rms",
    "list_corpora",
    "load_checkpoint",
    "load_corpus",
    "load_pretrained",
    "model_names",
    "plot_gates",
    "plot_gradient_norms_by_lag",
    "plot_history",
    "plot_perplexities",
    "plot_roofline",
    "plot_run_curves",
    "plot_surprisal",
    "plot_waterfall",
    "plot_zipf",
    "plots",
    "published_curve",
    "published_table",
    "read_recipe",
    "recorded_runs",
    "save_checkpoint",
    "score_text",
    "train_recipe",
    "tune_cache",
    "widgets",
]
