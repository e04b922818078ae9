"""What depth alone prefers, without decay.

`schatten` holds the price of a code in a product of L matrices, `log_flow` the flow of log loss, `model` the simulation.
"""
