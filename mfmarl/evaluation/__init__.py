"""Computes estimates, intervals, ratings and verdicts from tables of results, without torch."""
