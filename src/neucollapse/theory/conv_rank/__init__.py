"""Stable rank of convolutional filters against that of noisy data.

`stable_rank` holds what is predicted, `model` the training that is set beside it.
"""
