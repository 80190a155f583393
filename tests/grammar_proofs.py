"""What must hold of a grammar for its entropy to be right: one derivation a story, every register drawn once."""

from itertools import combinations

from lmtutor.baker_street.pcfg import Choice, Draw, Grammar, Write


def prove(grammar: Grammar) -> None:
    """Fail where two alternatives can begin with the same token, or a register is not drawn exactly once a story."""
    for node, options in starts(grammar).items():
        for one, other in combinations(options, 2):
            for a in one:
                for b in other:
                    assert not may_agree(grammar, a, b), f"{node.name}: {a} and {b} can be the same token"
    drawn = fixpoint(grammar, lambda node, found: set().union(*(draws(body, found) for body in node.bodies)))
    for node, union in drawn.items():
        for body in node.bodies:
            assert sorted(draws(body, drawn)) == sorted(union), f"{node.name}: alternatives draw different registers"
    assert {draw.register for draw in drawn[grammar.start]} == {*grammar.pool_of}, "some register is never drawn"


def fixpoint(grammar, step):
    """Sets for every choice, made larger by `step` until it adds nothing."""
    found = {node: set() for node in grammar._nodes.values()}
    while True:
        larger = {node: found[node] | step(node, found) for node in found}
        if larger == found:
            return found
        found = larger


def first_of(body, first):
    """The symbols with which a row of symbols can begin; None where it may be empty."""
    found = set()
    for symbol in body:
        some = first[symbol] if isinstance(symbol, Choice) else {symbol}
        found |= some - {None}
        if None not in some:
            return found
    return found | {None}


def starts(grammar):
    """For every choice the symbols with which each alternative can begin: what follows the choice, if it is empty."""
    first = fixpoint(grammar, lambda node, found: set().union(*(first_of(body, found) for body in node.bodies)))

    def after(node, follow):
        found = set()
        for other in first:
            for body in other.bodies:
                for i, symbol in enumerate(body):
                    if symbol is node:
                        rest = first_of(body[i + 1 :], first)
                        found |= rest - {None} | (follow[other] if None in rest else set())
        return found

    follow = fixpoint(grammar, after)
    options = {node: [first_of(body, first) for body in node.bodies] for node in first}
    return {n: [o - {None} | follow[n] if None in o else o for o in sets] for n, sets in options.items()}


def may_agree(grammar, a, b) -> bool:
    """Whether two first symbols can be written as the same token in one story."""
    bare = [s for s in (a, b) if isinstance(s, Draw) or (isinstance(s, Write) and s.forms is None)]
    if len(bare) == 2 and a.register != b.register and grammar.pool_of[a.register] is grammar.pool_of[b.register]:
        return False  # drawn without repetition
    return bool(words(grammar, a) & words(grammar, b))


def words(grammar, symbol) -> set[str]:
    if isinstance(symbol, str):
        return {symbol}
    return {*(getattr(symbol, "forms", None) or grammar.pool_of[symbol.register].words)}


def draws(body, drawn) -> list[Draw]:
    """The registers that a row of symbols draws."""
    return [draw for s in body for draw in (drawn[s] if isinstance(s, Choice) else [s] if isinstance(s, Draw) else [])]
