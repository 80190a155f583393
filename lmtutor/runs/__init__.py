"""Recipes and what came of them: runs, pretrained models, reproduction, finetuning, the figures of others.

Imports `system`, `models`, `text`, `scoring` and `training`.
"""

from lmtutor.runs.finetuning import finetune
from lmtutor.runs.pretrained import load_pretrained
from lmtutor.runs.published import published_curve, published_table
from lmtutor.runs.recipe import read_recipe
from lmtutor.runs.run import find_run, recorded_runs
from lmtutor.runs.train import train_recipe
