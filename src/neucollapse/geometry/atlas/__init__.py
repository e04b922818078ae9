"""The atlas: the best codes known for each (K, d), from closed forms, constructions, the literature and our own search.

`best_known(K, d)` looks a size up; `best_code(K, d)` also searches, where that can do better; `required_dim(K, margin)`
asks the other way round. `Atlas` is a file of codes: the package ships one, and you can keep your own.

    >>> from neucollapse.geometry.atlas import best_code, required_dim
    >>> round(best_code(1000, 512).value, 12)
    1.0
"""

from ._agreement import Agreement as Agreement
from ._agreement import targets_agree as targets_agree
from ._best import best_code as best_code
from ._energies import BestEnergy as BestEnergy
from ._energies import best_known_energy as best_known_energy
from ._entries import Atlas as Atlas
from ._entries import Entry as Entry
from ._excess import Excess as Excess
from ._excess import excess as excess
from ._known import best_known as best_known
from ._required_dim import RequiredDim as RequiredDim
from ._required_dim import required_dim as required_dim
