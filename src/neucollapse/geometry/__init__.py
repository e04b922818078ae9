"""Points on the sphere: where the classes of a collapsed network should lie, and how far it is from there.

K classes in d dimensions are K rows of a matrix, unit rows for a *code*. Three numbers say how good a code is:

* its **margin** rho, the smallest distance of a class to the convex hull of all others (``one_vs_rest``): what a
  softmax classifier can separate by. Generalized neural collapse (arXiv 2310.05351) maximises it: softmax codes.
* its **maximal cosine** s (``max_cosine``): the spherical code, or Tammes, problem minimises it; rho >= 1 - s always.
* its **energy** (``mean_energy``): hyperspherical uniformity (arXiv 2303.06484) minimises it.

All three agree on the simplex for K <= d+1, the home of neural collapse, and on few other sizes. ``best_known(K, d)``
looks up the best values and says whether they are proved, and ``best_code(K, d)`` gives a code: a closed form, one of the
``constructions``, one of the atlas, or what a search finds; ``required_dim(K, margin)`` asks the other way round.
``solve(SoftmaxCode(K, d))`` searches alone, ``certify`` says how good any code is, against the ``bounds``. ``align`` turns
and permutes a code onto class means, ``angle_to_code`` says how many degrees they are from it; ``assign_by_similarity``
chooses which class sits where. Signed cosines are meant throughout: ``coherence``, the absolute kind, is another problem,
and its best frames are not those of neural collapse.

Every function takes any array-like, of any float type, and returns detached CPU float64. ``pair_tiles`` alone works on
tensors as they are.

    >>> from neucollapse.geometry import best_known, one_vs_rest, orthoplex, simplex
    >>> [round(one_vs_rest(code).margin, 6) for code in (simplex(10), orthoplex(10, 5))]
    [1.111111, 1.0]
    >>> [round(best_known(10, d).margin, 6) for d in (9, 5, 3)]
    [1.111111, 1.0, 0.595606]
"""

from . import bounds as bounds
from . import constructions as constructions
from ._agreement import Agreement as Agreement
from ._agreement import targets_agree as targets_agree
from ._assignment import Assignment as Assignment
from ._assignment import assign_by_similarity as assign_by_similarity
from ._blocks import Blocks as Blocks
from ._blocks import find_blocks as find_blocks
from ._blocks import orthogonal_blocks as orthogonal_blocks
from ._code_angle import CodeAngle as CodeAngle
from ._code_angle import angle_to_code as angle_to_code
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
from ._hard_max import best_features as best_features
from ._hard_max import hard_max as hard_max
from ._hull import OneVsRest as OneVsRest
from ._hull import Support as Support
from ._hull import one_vs_rest as one_vs_rest
from ._matching import Match as Match
from ._matching import align as align
from ._matching import match as match
from ._optimum import Optimum as Optimum
from ._optimum import etf_floor as etf_floor
from ._optimum import orthogonal_frame_floor as orthogonal_frame_floor
from ._pairs import Tile as Tile
from ._pairs import pair_tiles as pair_tiles
from ._permutations import permutation_of as permutation_of
from ._permutations import random_permutation as random_permutation
from ._rotations import procrustes as procrustes
from ._rotations import random_rotation as random_rotation
from ._separation import Separation as Separation
from ._separation import separation as separation
from ._solution import Outcome as Outcome
from ._solution import Solution as Solution
from ._solve import solve as solve
from ._tight import orthonormal as orthonormal
from ._tight import tight_frame as tight_frame
from ._uniformity import Excess as Excess
from ._uniformity import excess as excess
from .atlas import Atlas as Atlas
from .atlas import Entry as Entry
from .atlas import best_code as best_code
from .atlas import best_known as best_known
from .atlas import required_dim as required_dim
from .certificate import Certificate as Certificate
from .certificate import certify as certify
from .certificate import certify_energy as certify_energy
from .problems import GrassmannianFrame as GrassmannianFrame
from .problems import MaximumGramDeterminant as MaximumGramDeterminant
from .problems import MinimumEnergy as MinimumEnergy
from .problems import SoftmaxCode as SoftmaxCode
from .problems import SphericalCode as SphericalCode
