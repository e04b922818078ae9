"""What proves a code good: contacts and stress, rigidity, margins, bounds; and the same for energies.

>>> from neucollapse.geometry import simplex
>>> from neucollapse.geometry.certificate import certify
>>> print(certify(simplex(4)).describe().split(": ")[0])
The largest cosine of these 4 points in 3 dimensions is -0.333333333333. No code does better
"""

from ._certificate import Certificate as Certificate
from ._certify import certify as certify
from ._energy import EnergyCertificate as EnergyCertificate
from ._energy import certify_energy as certify_energy
