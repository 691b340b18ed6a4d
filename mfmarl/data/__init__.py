"""Data modules: they play the games, store what happened, and yield what is learned from."""
