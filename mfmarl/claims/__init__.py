"""What the committed tables say to each claim of the paper, and how a reader is told."""
