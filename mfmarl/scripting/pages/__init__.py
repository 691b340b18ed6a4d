"""What the pages say in numbers, each passage made from committed tables by one function."""
