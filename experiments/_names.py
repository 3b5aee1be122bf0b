"""Plain names, for figures, of what folders, options and curves call by short ones."""

NAMES = {
    "sgd": "SGD",
    "momentum": "momentum",
    "nesterov": "Nesterov momentum",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "lion": "Lion",
    "schedule_free_adamw": "schedule-free AdamW",
    "adopt": "ADOPT",
    "dense": "dense net",
    "c1": "C1",
    "c2": "C2",
    "c1_shuffled": "C1 on shuffled pixels",
    "c2_shuffled": "C2 on shuffled pixels",
    # What a ConvNet is compared with
    "weights": "a dense net of its weights",
    "operations": "a dense net of its operations",
    "head": "its dense head alone",
    "shuffled": "itself on shuffled pixels",
    # Regularisers, and variants of batch normalisation
    "batch_norm": "batch normalisation",
    "normal": "drawn from N(0, 1)",
    "standard": "1 and 0",
    "minibatch": "statistics of the minibatch",
    "running": "running statistics",
    # As curves describe networks
    "MLP(hidden=(100, 100))": "dense net",
    "ConvNet(channels=(10,), hidden=(576, 160))": "C1",
    "ConvNet(channels=(5, 10), hidden=(150,))": "C2",
}


def name(word: str) -> str:
    """Return the plain name, or the word itself if it has none."""
    return NAMES.get(word, word.replace("_", " "))
