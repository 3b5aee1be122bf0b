"""The engine: a sweep as a value, laid out as chunks of trials, trained and brought back."""
