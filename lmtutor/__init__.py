"""Recurrent language models, by hand and at scale.

>>> import lmtutor as lm
>>> corpus = lm.load_corpus("baker-street")
>>> model = lm.build_model("lstm-200", corpus.vocab)
>>> history = lm.fit(model, corpus, lm.TrainConfig(epochs=1))
>>> lm.evaluate(model, corpus.test).perplexity
"""

import lmtutor.system.threads  # noqa: F401, first: before torch
from lmtutor.classroom.hints import check as check
from lmtutor.display import (
    corpus_here as corpus_here,
)
from lmtutor.display import (
    plot_gates as plot_gates,
)
from lmtutor.display import (
    plot_gradient_norms_by_lag as plot_gradient_norms_by_lag,
)
from lmtutor.display import (
    plot_history as plot_history,
)
from lmtutor.display import (
    plot_perplexities as plot_perplexities,
)
from lmtutor.display import (
    plot_roofline as plot_roofline,
)
from lmtutor.display import (
    plot_run_curves as plot_run_curves,
)
from lmtutor.display import (
    plot_surprisal as plot_surprisal,
)
from lmtutor.display import (
    plot_waterfall as plot_waterfall,
)
from lmtutor.display import (
    plot_zipf as plot_zipf,
)
from lmtutor.display import (
    plots as plots,
)
from lmtutor.display import (
    widgets as widgets,
)
from lmtutor.models import NGramLM as NGramLM
from lmtutor.models import build_model as build_model
from lmtutor.models import describe as describe
from lmtutor.models import model_names as model_names
from lmtutor.runs import (
    find_run as find_run,
)
from lmtutor.runs import (
    finetune as finetune,
)
from lmtutor.runs import (
    load_pretrained as load_pretrained,
)
from lmtutor.runs import (
    published_curve as published_curve,
)
from lmtutor.runs import (
    published_table as published_table,
)
from lmtutor.runs import (
    read_recipe as read_recipe,
)
from lmtutor.runs import (
    recorded_runs as recorded_runs,
)
from lmtutor.runs import (
    train_recipe as train_recipe,
)
from lmtutor.scoring import (
    NeuralCache as NeuralCache,
)
from lmtutor.scoring import (
    Score as Score,
)
from lmtutor.scoring import (
    dynamic_evaluate as dynamic_evaluate,
)
from lmtutor.scoring import (
    evaluate as evaluate,
)
from lmtutor.scoring import (
    generate as generate,
)
from lmtutor.scoring import (
    gradient_rms as gradient_rms,
)
from lmtutor.scoring import (
    score_text as score_text,
)
from lmtutor.scoring import (
    tune_cache as tune_cache,
)
from lmtutor.system import LMTutorError as LMTutorError
from lmtutor.system import data_path as data_path
from lmtutor.text import (
    Corpus as Corpus,
)
from lmtutor.text import (
    Vocabulary as Vocabulary,
)
from lmtutor.text import (
    corpus_available as corpus_available,
)
from lmtutor.text import (
    list_corpora as list_corpora,
)
from lmtutor.text import (
    load_corpus as load_corpus,
)
from lmtutor.training import (
    TrainConfig as TrainConfig,
)
from lmtutor.training import (
    extend_vocabulary as extend_vocabulary,
)
from lmtutor.training import (
    fit as fit,
)
from lmtutor.training import (
    load_checkpoint as load_checkpoint,
)
from lmtutor.training import (
    save_checkpoint as save_checkpoint,
)
