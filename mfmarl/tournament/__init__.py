"""Tournaments of trained armies: the schedule, the rounds, and films of battles."""
