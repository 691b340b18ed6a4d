"""Mean Field Multi-Agent Reinforcement Learning (Yang et al., ICML 2018), reproduced in PyTorch Lightning."""

__version__ = "0.1.0"
