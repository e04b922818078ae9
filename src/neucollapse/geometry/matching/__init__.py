"""Which class sits where, and how a code is turned: rotations, permutations, and both at once.

``procrustes`` turns, ``match`` permutes and turns, ``align`` gives the turned points; ``angle_to_code`` measures in degrees
what is left; ``assign_by_similarity`` puts classes that look alike side by side.
"""

from ._assignment import Assignment as Assignment
from ._assignment import assign_by_similarity as assign_by_similarity
from ._code_angle import CodeAngle as CodeAngle
from ._code_angle import angle_to_code as angle_to_code
from ._match import Match as Match
from ._match import align as align
from ._match import match as match
from ._permutations import permutation_of as permutation_of
from ._permutations import random_permutation as random_permutation
from ._rotations import procrustes as procrustes
from ._rotations import random_rotation as random_rotation
