"""Checkpoints: written whole, read with suspicion."""
