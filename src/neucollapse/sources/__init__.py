"""Where features come from: a model and a loader, files, or arrays, all read as one stream of rows, twice if need be.

`open_sources` turns what `measure` was given into one `Source` a split, each a stream of `Rows`; `number_classes`
settles which class each of their labels means, over all splits and ranks at once. Nothing here computes a number of collapse.
"""

from ._numbering import Numbering as Numbering
from ._numbering import number_classes as number_classes
from ._open import array_tensor as array_tensor
from ._open import open_sources as open_sources
from ._rows import Array as Array
from ._rows import Features as Features
from ._rows import Loader as Loader
from ._rows import Rows as Rows
from ._rows import from_all_ranks as from_all_ranks
from ._sources import ModelOptions as ModelOptions
from ._sources import ModelSource as ModelSource
from ._sources import Source as Source
