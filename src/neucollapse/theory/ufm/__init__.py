"""Unconstrained features: the optimum of each loss and constraint in closed form, and a simulation that looks for it.

``optimum`` holds what is predicted, ``objective`` what is minimised, ``model`` the simulation.
"""
