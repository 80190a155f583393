"""The error for bad input says what it has to say on one line."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from lmtutor.system.errors import Diverged, LMTutorError, nearest


@given(st.text())
def test_a_message_is_one_line_whatever_was_given(name):
    assert len(str(LMTutorError(f"{name}: there is no such file.")).splitlines()) == 1


def test_errors_keep_their_message_between_processes():
    for kind in (LMTutorError, Diverged):
        again = pickle.loads(pickle.dumps(kind("a\nb")))
        assert type(again) is kind and str(again) == "a b"


def test_the_nearest_names_come_first_and_then_all():
    assert nearest("wikitxt", ["ptb", "wikitext-2"]) == " Did you mean 'wikitext-2'? Known: ptb, wikitext-2."
    assert nearest("zzz", ["ptb"]) == " Known: ptb."
