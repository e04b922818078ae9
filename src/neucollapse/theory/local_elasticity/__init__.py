"""Samples that drag one another along: the LE-ODE in closed form, the LE-SDE simulated, strengths from real training."""
