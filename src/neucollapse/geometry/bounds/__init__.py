"""How good a code can be: proved bounds on the cosines, coherence and margin of K points in d dimensions.

Lower bounds on the largest cosine s of a code: ``rankin``, ``fejes_toth`` (d = 3), ``levenshtein`` and ``delsarte``, the last
with a polynomial that proves it in exact arithmetic. On the coherence mu of lines: ``welch``, ``higher_welch``,
``orthoplex_lines`` and ``levenshtein_lines``. On the margin rho, from above: ``margin_upper``, and ``margin_gamma`` from both
sides. ``best_bound`` picks the tightest and says whose it is.

As rho >= 1 - s, a lower bound on s does not bound the margin: the two problems share their optima as far as is known, but that
is no theorem. A code that meets its bound is proved best; for most sizes no bound is met by any code.

    >>> from neucollapse.geometry.bounds import best_bound, delsarte
    >>> [best_bound(K, 4).name for K in (5, 8, 24, 120)]
    ['Rankin', 'Rankin', 'Delsarte', 'Delsarte']
    >>> delsarte(24, 4).largest_size() < 24
    True
"""

from ._best import Bound as Bound
from ._best import Kind as Kind
from ._best import best_bound as best_bound
from ._codes import fejes_toth as fejes_toth
from ._codes import rankin as rankin
from ._delsarte import DelsarteBound as DelsarteBound
from ._delsarte import delsarte as delsarte
from ._frame_floors import etf_floor as etf_floor
from ._frame_floors import orthogonal_frame_floor as orthogonal_frame_floor
from ._levenshtein import levenshtein as levenshtein
from ._lines import higher_welch as higher_welch
from ._lines import levenshtein_lines as levenshtein_lines
from ._lines import orthoplex_lines as orthoplex_lines
from ._lines import welch as welch
from ._margins import margin_gamma as margin_gamma
from ._margins import margin_upper as margin_upper
