"""What a page of the book says for itself: which corpus its cells ran on."""

import html

from lmtutor.text.corpora import Corpus, corpus_available, load_corpus


def corpus_here(name: str, **options) -> Corpus:
    """Load a corpus if its files are on this machine; else the embedded one, with a note on the page.

    Parameters
    ----------
    name : a name of the catalogue.
    options : of `load_corpus`, for either corpus.
    """
    if corpus_available(name):
        return load_corpus(name, **options)
    say(
        f"{name} is not on this machine: the cells of this page run on baker-street",
        f"Fetch it with “lmtutor corpora fetch {name}”, or name the folder that holds it in LMTUTOR_DATA, and run the "
        "page again. Numbers of recorded runs are those of the corpus that they name.",
    )
    return load_corpus("baker-street", **options)


def say(title: str, text: str) -> None:
    """Show an admonition in a notebook or on a page, and plain text elsewhere."""
    from IPython.display import display

    title, text = html.escape(title), html.escape(text)
    block = f'<div class="admonition note"><p class="admonition-title">{title}</p><p>{text}</p></div>'
    display({"text/html": block, "text/plain": f"{title}. {text}"}, raw=True)
