"""Teaching with the book: assignments from one source each, safe grading, feedback, hints.

Only `grading` and the course tree need nbgrader (the extra `classroom`), and they import it when they are called.
"""
