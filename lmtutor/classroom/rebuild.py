"""Put a student's cells back into the form of the release, whatever an editor or a student has done to the marks."""

from typing import Any

from lmtutor.classroom.intake import harmless
from lmtutor.classroom.sources import is_test, question_of


def rebuild(theirs: list, released: list, name: str) -> tuple[list, list[str]]:
    """Take sources from the student and all else from the release; known cells once each, missing ones put back.

    Returns
    -------
    The cells, and the ids of free answers that were known by their place alone.
    """
    import nbformat

    known = {c.metadata.nbgrader.grade_id: c for c in released if "nbgrader" in c.metadata}
    ids = [_recognise(cell, known) for cell in theirs]
    lost = _answers_by_place(theirs, ids, released)
    cells, seen, joined = [], set(), {place for places in lost.values() for place in places[1:]}
    joined |= {place for place, grade_id in enumerate(ids) if grade_id in lost}  # the marked cells, left empty
    for grade_id, places in lost.items():
        theirs[places[0]].source = "\n\n".join(theirs[place].source for place in places)
        ids[places[0]] = grade_id
    for place, (cell, grade_id) in enumerate(zip(theirs, ids, strict=True)):
        if place in joined:
            continue
        early = grade_id in known and is_test(grade_id) and question_of(grade_id) not in seen
        if grade_id in seen or early and question_of(grade_id) in ids:
            continue  # a second copy, or a test above its answer: it is put back where it belongs
        kind = "markdown" if cell.cell_type == "raw" else cell.cell_type
        mine = nbformat.NotebookNode(cell_type=kind, metadata={}, source=cell.source)
        mine |= {"outputs": [], "execution_count": None} if kind == "code" else {}
        if grade_id in known:
            seen.add(grade_id)
            mine = known[grade_id].copy()
            if not mine.metadata.nbgrader.locked:
                mine["source"] = cell.source
        if mine.cell_type == "markdown" and not mine.metadata.get("nbgrader", {}).get("locked"):
            mine["source"] = harmless(mine.source)
        cells.append(mine)
    _put_back(cells, known, seen)
    for number, cell in enumerate(cells):
        cell.id = f"{name}-{number}"
    return cells, sorted(lost)


def _recognise(cell: Any, known: dict) -> str | None:
    """The grade_id of a cell: from its mark, else from its id or its text where an editor has lost the mark."""
    facts = cell.metadata.get("nbgrader", {})
    grade_id = facts.get("grade_id") if isinstance(facts, dict) else None
    if isinstance(grade_id, str):
        return grade_id if grade_id in known else None
    for grade_id, released in known.items():
        same = released.metadata.nbgrader.locked and cell.source == released.source or cell.get("id") == released.id
        if same and cell.cell_type == released.cell_type:
            return grade_id
    return None


def _answers_by_place(cells: list, ids: list, released: list) -> dict[str, list[int]]:
    """Find free answers that no marked cell holds: the student's own texts between what stands around the answer.

    Returns
    -------
    Of each such answer, the places of its texts.
    """
    heads = [_head(cell) for cell in released]
    by_head = {head: n for n, head in enumerate(heads) if heads.count(head) == 1}
    by_id = {cell.metadata.get("nbgrader", {}).get("grade_id"): n for n, cell in enumerate(released)}
    where = [by_id.get(i) if i else by_head.get(_head(cell)) for cell, i in zip(cells, ids, strict=True)]
    found = {}
    for answer, cell in enumerate(released):
        facts = cell.metadata.get("nbgrader", {})
        marked = [theirs for theirs, grade_id in zip(cells, ids, strict=True) if grade_id == facts.get("grade_id")]
        written = any(_head(theirs) not in ("", heads[answer]) for theirs in marked)
        if not facts.get("solution") or cell.cell_type != "markdown" or written:
            continue
        above = max(((n, place) for place, n in enumerate(where) if n is not None and n < answer), default=(0, -1))[1]
        rest = range(above + 1, len(cells))
        below = next((place for place in rest if where[place] not in (None, answer)), len(cells))
        texts = [p for p in range(above + 1, below) if where[p] is None and cells[p].cell_type != "code"]
        if texts := [place for place in texts if cells[place].source.strip()]:
            found[facts["grade_id"]] = texts
    return found


def _head(cell: Any) -> str:
    """What a released cell is known by, with or without its mark: its heading, or else its text."""
    text = cell.source.strip()
    return text.splitlines()[0] if text.startswith("#") and cell.cell_type == "markdown" else " ".join(text.split())


def _put_back(cells: list, known: dict, seen: set) -> None:
    """Insert the missing locked and graded cells, each after what stands before it in the release."""
    order = list(known)
    for place, grade_id in enumerate(order):
        facts = known[grade_id].metadata.nbgrader
        if grade_id in seen or not (facts.grade or facts.locked):  # an answer may stand in a cell of the student's own
            continue
        before = set(order[:place])
        spots = [i for i, c in enumerate(cells) if c.metadata.get("nbgrader", {}).get("grade_id") in before]
        following = spots[-1] + 1 if spots else 0
        while following < len(cells) and "nbgrader" not in cells[following].metadata and spots:
            following += 1  # after the student's own cells that belong to the same question
        cells.insert(following, known[grade_id])
