"""What learns: a linear head on a frozen network, and the networks that turn pictures and texts into embeddings."""
