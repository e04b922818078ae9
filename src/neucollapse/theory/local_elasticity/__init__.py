"""Samples that drag one another along: the LE-ODE in closed form, the LE-SDE simulated, strengths from real training."""

from .ode import PowerLaw as PowerLaw
from .ode import expected_scatter as expected_scatter
from .ode import ode_solution as ode_solution
from .ode import separates as separates
from .strengths import ElasticStrengths as ElasticStrengths
from .strengths import elastic_strengths as elastic_strengths
from .strengths import kernel_strengths as kernel_strengths
