"""Data modules, which play the games, store the experience, and yield training data."""
