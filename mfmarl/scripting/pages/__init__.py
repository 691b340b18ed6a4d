"""Passages of the pages with numbers; one function makes each passage from the committed tables."""
