"""Minority collapse: classes of unequal size in the layer-peeled model.

`step` and `budget` solve the convex relaxation, `model` follows a path of imbalance ratios.
"""
