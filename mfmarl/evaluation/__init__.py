"""From tables of results to estimates, intervals, ratings and verdicts; needs no torch."""
