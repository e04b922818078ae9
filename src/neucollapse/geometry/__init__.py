"""Points on the sphere: where the classes of a collapsed network should lie, and how far it is from there.

K classes in d dimensions are K rows of a matrix, unit rows for a *code*. Three numbers say how good a code is:

* its **margin** rho, the smallest distance of a class to the convex hull of all others (``one_vs_rest``): what a
  softmax classifier can separate by. Generalized neural collapse (arXiv 2310.05351) maximises it: softmax codes.
* its **maximal cosine** s (``max_cosine``): the spherical code, or Tammes, problem minimises it; rho >= 1 - s always.
* its **energy** (``mean_energy``): hyperspherical uniformity (arXiv 2303.06484) minimises it.

All three agree on the simplex for K <= d+1, the home of neural collapse, and on few other sizes. ``best_known(K, d)``
looks up the best values and says whether they are proved; ``solve(K, d)`` searches for a code where none is at hand;
``align`` turns and permutes a code onto class means, to draw the two side by side. Signed cosines are meant throughout:
``coherence``, the absolute kind, is another problem, and its best frames are not those of neural collapse.

Every function takes any array-like, of any float type, and returns detached CPU float64. ``pair_tiles`` alone works on
tensors as they are.

    >>> from neucollapse.geometry import best_known, one_vs_rest, orthoplex, simplex
    >>> [round(one_vs_rest(code).margin, 6) for code in (simplex(10), orthoplex(10, 5))]
    [1.111111, 1.0]
    >>> [round(best_known(10, d).margin, 6) for d in (9, 5, 3)]
    [1.111111, 1.0, 0.595606]
"""

from ._cosines import ClosestPair as ClosestPair
from ._cosines import closest_pair as closest_pair
from ._cosines import coherence as coherence
from ._cosines import cosines as cosines
from ._cosines import max_cosine as max_cosine
from ._cosines import unit_rows as unit_rows
from ._energy import BestEnergy as BestEnergy
from ._energy import best_known_energy as best_known_energy
from ._energy import mean_energy as mean_energy
from ._frames import icosahedron as icosahedron
from ._frames import orthoplex as orthoplex
from ._frames import polygon as polygon
from ._frames import simplex as simplex
from ._hull import OneVsRest as OneVsRest
from ._hull import Support as Support
from ._hull import one_vs_rest as one_vs_rest
from ._matching import align as align
from ._optimum import Optimum as Optimum
from ._optimum import best_known as best_known
from ._optimum import etf_floor as etf_floor
from ._optimum import orthogonal_frame_floor as orthogonal_frame_floor
from ._pairs import Tile as Tile
from ._pairs import pair_tiles as pair_tiles
from ._solve import solve as solve
