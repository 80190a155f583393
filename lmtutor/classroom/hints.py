"""Hints for students: `lm.check("a2-q3", answer)` says what looks wrong, never what would be right."""
