"""The squared loss with the least-squares classifier at every time: closed-form dynamics (Han, Papyan and Donoho).

``signal_to_noise`` holds the closed form, ``model`` the flow of samples that is set beside it.
"""

from .signal_to_noise import path_metrics as path_metrics
from .signal_to_noise import path_time as path_time
from .signal_to_noise import path_velocity as path_velocity
from .signal_to_noise import snr_at as snr_at
