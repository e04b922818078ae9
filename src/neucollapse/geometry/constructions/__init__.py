"""Exact codes and line systems: the best ones known for their sizes, and large ones for millions of classes.

A construction needs no search: integers, finite fields and combinatorics give K unit vectors in d dimensions whose maximal
cosine is known beforehand, exactly. Three kinds matter to a network with K classes and d features:

* **sharp codes**, proved best of their sizes: E8, the Leech lattice and its sections, `isotropic`, and small ones;
* **large codes** with prefixes: `kerdock`, `gold`, `dual_bch`, `delsarte_goethals` make the first `count` of up to
  millions of points, far better than a search would: (d, K) = (511, 100000) at 0.061 in a second, where random points reach
  about 0.25;
* **lines**, whose *absolute* cosines are small: equiangular lines and unbiased bases. `antipodal` makes them codes.

`CATALOGUE` lists all of them with what they reach; `candidates(K, d)` those that give K points in d dimensions, best first.
A subset of a code is a code with at most its maximal cosine, and `pad` adds dimensions, so each serves many sizes.

    >>> from neucollapse.geometry.constructions import candidates
    >>> [(c.name, c.K, c.d, c.max_cosine) for c in candidates(1000, 64)][:1]
    [('Kerdock m=3', 4224, 64, 0.125)]
    >>> candidates(1000, 64)[0].build(1000).shape
    torch.Size([1000, 64])
"""

from ._binary import binary_code as binary_code
from ._binary import delsarte_goethals as delsarte_goethals
from ._binary import dual_bch as dual_bch
from ._binary import gold as gold
from ._binary import kerdock as kerdock
from ._catalogue import CATALOGUE as CATALOGUE
from ._catalogue import Construction as Construction
from ._catalogue import candidates as candidates
from ._graphs import gewirtz as gewirtz
from ._graphs import higman_sims as higman_sims
from ._graphs import hoffman_singleton as hoffman_singleton
from ._graphs import isotropic as isotropic
from ._graphs import latin_square_lines as latin_square_lines
from ._graphs import mesner as mesner
from ._graphs import paley_lines as paley_lines
from ._leech import conway_891 as conway_891
from ._leech import conway_4600 as conway_4600
from ._leech import equiangular_252 as equiangular_252
from ._leech import equiangular_352 as equiangular_352
from ._leech import equiangular_552 as equiangular_552
from ._leech import leech as leech
from ._leech import mclaughlin as mclaughlin
from ._leech import mclaughlin_112 as mclaughlin_112
from ._leech import mclaughlin_162 as mclaughlin_162
from ._operations import antipodal as antipodal
from ._operations import direct_sum as direct_sum
from ._operations import halves as halves
from ._operations import pad as pad
from ._roots import a_roots as a_roots
from ._roots import barnes_wall as barnes_wall
from ._roots import clebsch as clebsch
from ._roots import d_roots as d_roots
from ._roots import e6_roots as e6_roots
from ._roots import e7_roots as e7_roots
from ._roots import e8_roots as e8_roots
from ._roots import gosset as gosset
from ._roots import hexacosichoron as hexacosichoron
from ._roots import petersen as petersen
from ._roots import schlaefli as schlaefli
from ._roots import six_dimensional_lines as six_dimensional_lines
from ._roots import snub_cube as snub_cube
