"""Unequal classes as the decay goes to 0: simplex-encoded labels (SELI), general orthogonal frames.

`simplex_encoding` and `orthogonal_frame` hold what is predicted, `model` the path that is set beside it.
"""
