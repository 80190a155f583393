"""Recurrent language models, by hand and at scale.

>>> import lmtutor as lm
>>> corpus = lm.load_corpus("baker-street")
>>> model = lm.build_model("lstm-200", corpus.vocab)
>>> history = lm.fit(model, corpus, lm.TrainConfig(epochs=1))
>>> lm.evaluate(model, corpus.test).perplexity
"""

import lmtutor.system.threads  # first: before torch
from lmtutor.classroom.hints import check
from lmtutor.display import (
    corpus_here,
    plot_gates,
    plot_history,
    plot_perplexities,
    plot_roofline,
    plot_run_curves,
    plot_surprisal,
    plot_waterfall,
    plot_zipf,
    plots,
    widgets,
)
from lmtutor.models import NGramLM, build_model, describe, model_names
from lmtutor.runs import (
    find_run,
    finetune,
    load_pretrained,
    published_curve,
    published_table,
    read_recipe,
    recorded_runs,
    train_recipe,
)
from lmtutor.scoring import (
    NeuralCache,
    Score,
    dynamic_evaluate,
    evaluate,
    generate,
    gradient_rms,
    score_text,
    tune_cache,
)
from lmtutor.system import LMTutorError, data_path
from lmtutor.text import Corpus, Vocabulary, corpus_available, list_corpora, load_corpus
from lmtutor.training import TrainConfig, extend_vocabulary, fit, load_checkpoint, save_checkpoint
