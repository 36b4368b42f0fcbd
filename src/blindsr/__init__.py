"""Blind super-resolution: train, evaluate and compare regularizers that should make it generalize."""

__version__ = "0.1.0"
