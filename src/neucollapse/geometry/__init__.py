"""Points on the sphere: where the classes of a collapsed network should lie, and how far it is from there.

K classes in d dimensions are K rows of a matrix, unit rows for a *code*. Three numbers say how good a code is:

* its **margin** rho, the smallest distance of a class to the convex hull of all others (`one_vs_rest`): what a
  softmax classifier can separate by. Generalized neural collapse (arXiv 2310.05351) maximises it: softmax codes.
* its **maximal cosine** s (`max_cosine`): the spherical code, or Tammes, problem minimises it; rho >= 1 - s always.
* its **energy** (`mean_energy`): hyperspherical uniformity (arXiv 2303.06484) minimises it.

All three agree on the simplex for K <= d+1, the home of neural collapse, and on few other sizes. `best_known(K, d)`
looks up the best values and says whether they are proved, and `best_code(K, d)` gives a code: a closed form, one of the
`constructions`, one of the atlas, or what a search finds; `required_dim(K, margin)` asks the other way round.
`solve(SoftmaxCode(K, d))` searches alone, `certify` says how good any code is, against the `bounds`. `align` turns
and permutes a code onto class means, `angle_to_code` says how many degrees they are from it; `assign_by_similarity`
chooses which class sits where. Cosines are signed throughout: `coherence`, which takes absolute values, is another
problem, whose best frames are not a target of collapse.

Every function takes any array-like, of any float type, and returns detached CPU float64. `pair_tiles` alone keeps the
device and type of a tensor.

    >>> from neucollapse.geometry import best_known, one_vs_rest, orthoplex, simplex
    >>> [round(one_vs_rest(code).margin, 6) for code in (simplex(10), orthoplex(10, 5))]
    [1.111111, 1.0]
    >>> [round(best_known(10, d).margin, 6) for d in (9, 5, 3)]
    [1.111111, 1.0, 0.595606]
"""

from . import bounds as bounds
from . import constructions as constructions
from .atlas import Agreement as Agreement
from .atlas import Atlas as Atlas
from .atlas import BestEnergy as BestEnergy
from .atlas import Entry as Entry
from .atlas import Excess as Excess
from .atlas import best_code as best_code
from .atlas import best_known as best_known
from .atlas import best_known_energy as best_known_energy
from .atlas import excess as excess
from .atlas import required_dim as required_dim
from .atlas import targets_agree as targets_agree
from .bounds import etf_floor as etf_floor
from .bounds import orthogonal_frame_floor as orthogonal_frame_floor
from .certificate import Certificate as Certificate
from .certificate import certify as certify
from .certificate import certify_energy as certify_energy
from .codes import GrassmannianFrame as GrassmannianFrame
from .codes import MaximumGramDeterminant as MaximumGramDeterminant
from .codes import MinimumEnergy as MinimumEnergy
from .codes import Optimum as Optimum
from .codes import Outcome as Outcome
from .codes import SoftmaxCode as SoftmaxCode
from .codes import Solution as Solution
from .codes import SphericalCode as SphericalCode
from .codes import solve as solve
from .frames import Blocks as Blocks
from .frames import ClosestPair as ClosestPair
from .frames import Separation as Separation
from .frames import Tile as Tile
from .frames import closest_pair as closest_pair
from .frames import coherence as coherence
from .frames import cosines as cosines
from .frames import find_blocks as find_blocks
from .frames import icosahedron as icosahedron
from .frames import max_cosine as max_cosine
from .frames import mean_energy as mean_energy
from .frames import orthogonal_blocks as orthogonal_blocks
from .frames import orthonormal as orthonormal
from .frames import orthoplex as orthoplex
from .frames import pair_tiles as pair_tiles
from .frames import polygon as polygon
from .frames import separation as separation
from .frames import simplex as simplex
from .frames import tight_frame as tight_frame
from .frames import unit_rows as unit_rows
from .hull import OneVsRest as OneVsRest
from .hull import Support as Support
from .hull import best_features as best_features
from .hull import hard_max as hard_max
from .hull import one_vs_rest as one_vs_rest
from .matching import Assignment as Assignment
from .matching import CodeAngle as CodeAngle
from .matching import Match as Match
from .matching import align as align
from .matching import angle_to_code as angle_to_code
from .matching import assign_by_similarity as assign_by_similarity
from .matching import match as match
from .matching import permutation_of as permutation_of
from .matching import procrustes as procrustes
from .matching import random_permutation as random_permutation
from .matching import random_rotation as random_rotation
