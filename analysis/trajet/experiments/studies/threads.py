"""One thread a worker: the variables that numpy, blis, torch and their like read when they are first loaded.

Imports nothing, so that a script can set them before anything else is imported. Two workers on two cores would
otherwise start four threads that wait for each other.
"""

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
