"""``python -m lmtutor`` is the command ``lmtutor``; ``torchrun -m lmtutor`` starts it on several processes."""

from lmtutor.cli.commands import main

main()
