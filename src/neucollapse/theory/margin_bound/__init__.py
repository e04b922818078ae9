"""Margin, covering and few-shot bounds, term by term: diagnostics of a classifier, never guarantees."""

from .covering import covering_bound as covering_bound
from .covering import greedy_cover as greedy_cover
from .few_shot import cdnv_bound as cdnv_bound
from .few_shot import few_shot_error as few_shot_error
from .few_shot import pair_bounds as pair_bounds
from .permutation_effect import permutation_effect as permutation_effect
from .permutation_effect import relabelled_bound as relabelled_bound
from .permutation_effect import uneven_classes as uneven_classes
from .terms import BoundTerms as BoundTerms
from .terms import gaussian_terms as gaussian_terms
from .terms import sample_terms as sample_terms
