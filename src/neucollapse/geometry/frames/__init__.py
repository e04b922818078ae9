"""Points with a formula, and the numbers of any points that need no solver.

`simplex`, `orthoplex`, `polygon`, `icosahedron`, `tight_frame` and `orthogonal_blocks` give points; `max_cosine`,
`closest_pair`, `separation` and `mean_energy` say how far apart points are. `pair_tiles` walks all pairs in little memory.

Sizes must be whole numbers with K >= 2 and d >= 1, and points a real matrix whose rows have a direction: all else raises
`InputError`, and NaN or infinity `NonFiniteError`.
"""

from ._blocks import Blocks as Blocks
from ._blocks import find_blocks as find_blocks
from ._blocks import orthogonal_blocks as orthogonal_blocks
from ._closed_forms import icosahedron as icosahedron
from ._closed_forms import orthonormal as orthonormal
from ._closed_forms import orthoplex as orthoplex
from ._closed_forms import polygon as polygon
from ._closed_forms import simplex as simplex
from ._closed_forms import tight_frame as tight_frame
from ._cosines import ClosestPair as ClosestPair
from ._cosines import closest_pair as closest_pair
from ._cosines import coherence as coherence
from ._cosines import cosines as cosines
from ._cosines import max_cosine as max_cosine
from ._cosines import unit_rows as unit_rows
from ._energy import mean_energy as mean_energy
from ._pairs import Tile as Tile
from ._pairs import pair_tiles as pair_tiles
from ._separation import Separation as Separation
from ._separation import separation as separation
