"""Speed, measured beside PyTorch, Flax and numpy in the same run: `python -m benchmarks`."""
