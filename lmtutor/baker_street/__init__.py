"""The embedded corpus: the rules of its grammar, the stories they write, and the exact probability of every word.

Imports `system`.
"""

from lmtutor.baker_street.truth import (
    baker_street_corpus,
    baker_street_entropy,
    baker_street_grammar,
    next_token_probs,
    sample_stories,
    true_log_probs,
)
