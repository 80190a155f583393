"""Recurrent language models, by hand and at scale."""
