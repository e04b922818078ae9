"""Deep unconstrained features under decay.

`mse_optimum` is the optimum of several layers in closed form, `model` the simulation.
"""
