"""Weight schemes, one file each: how a matrix is packed for the kernels, how it is read back, what error that makes.

numpy only; calibration, where a scheme needs it, brings its own imports.
"""
