"""The console command `emnist-jax`."""
