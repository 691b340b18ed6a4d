"""Trained armies meet: who plays whom, the rounds, and battles on film."""
