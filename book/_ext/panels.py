"""What the panels share, which show something in a page without a kernel: a directive each, and files on its page."""

from collections.abc import Callable

from docutils import nodes
from docutils.parsers.rst import Directive


def add_panel(app, name: str, page_html: Callable[..., str], *files: str, arguments: int = 0) -> dict:
    """Add the directive `name`, which becomes what `page_html` returns; return what Sphinx wants of an extension.

    Parameters
    ----------
    files : scripts and styles, loaded on a page that has the directive and on no other.
    arguments : how many the directive has; they are passed to `page_html`.
    """

    class Panel(Directive):
        required_arguments = arguments

        def run(self) -> list[nodes.Node]:
            ask_for_files(self.state.document.settings.env, files)
            return [nodes.raw("", page_html(*self.arguments), format="html")]

    app.add_directive(name, Panel)
    app.setup_extension("panels")
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}


def ask_for_files(env, files: tuple[str, ...]) -> None:
    """Have the page that is being read load scripts and styles."""
    asked = env.metadata[env.docname].setdefault("panels", [])
    asked += [file for file in files if file not in asked]


def load_files(app, pagename, templatename, context, doctree) -> None:
    for file in app.env.metadata.get(pagename, {}).get("panels", ()):
        if file.endswith(".js"):
            app.add_js_file(file, loading_method="defer")
        else:
            app.add_css_file(file)


def setup(app):
    app.connect("html-page-context", load_files)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
