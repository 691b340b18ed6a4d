"""Judges each claim of the paper by the committed tables, and writes a sentence about it for readers."""
