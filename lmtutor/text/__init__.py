"""From bytes to tokens, ids and columns: sources, tokenizers, the vocabulary, corpora, batches.

Imports `system`, `baker_street` and `models` (whose heads say which targets are not scored).
"""

from lmtutor.text.batches import Batch, lay_out, sample_batches, stream_batches, window_batches
from lmtutor.text.corpora import Corpus, corpus_available, list_corpora, load_corpus, sample_text
from lmtutor.text.tokenizers import SPECIALS, Normalisation, Tokenizer, get_tokenizer
from lmtutor.text.vocabulary import Vocabulary
