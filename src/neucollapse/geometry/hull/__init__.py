"""How far each class lies from the convex hull of all others: `one_vs_rest`.

The problem of class k is to find the point of conv{w_j, j != k} nearest to w_k. `_active_set` says how it becomes linear
systems $H_T u = 1$ on a support T of few classes. Three ways solve it, and every answer is held against all K classes in
double precision, so that the certificate never depends on the way:

- `"plain"`, in `_active_set`: all classes of a batch together, a Cholesky factor each, in PyTorch. `"auto"` takes it without
  the extra `fast`, and below 5,000 pairs, where loading compiled code takes longer than the work.
- `"compiled"`, in `_pivots`: one class after another, the factor kept up to date as T changes. `"auto"` takes it else.
- `"mixed"`: the same on inner products in single precision; the changes of T that only double precision shows come last.
  `"auto"` takes it for most of 3,000 classes or more.

What one way leaves open goes on to the next: from mixed to compiled to plain, whose orthogonal factorisation reaches the
tolerance where Gram matrices are too ill-conditioned. Where the rows are affinely independent (d >= K-1), one inverse
gives all nearest points of *affine* hulls (`_warm_start`); where these lie inside the hulls, as near a simplex, nothing
is left to do.
"""

from ._hard_max import best_features as best_features
from ._hard_max import hard_max as hard_max
from ._one_vs_rest import Method as Method
from ._one_vs_rest import OneVsRest as OneVsRest
from ._one_vs_rest import Support as Support
from ._one_vs_rest import one_vs_rest as one_vs_rest
