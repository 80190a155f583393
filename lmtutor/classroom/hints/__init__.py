"""What `check` says to a wrong answer, before it is handed in."""

from lmtutor.classroom.hints.checking import check

__all__ = ["check"]
