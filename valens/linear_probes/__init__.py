"""Softmax probes of all layers, trained together."""
