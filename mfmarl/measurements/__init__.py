"""What the package's own methods do where `mfmarl.theory` knows the truth: each measurement gives tidy rows.

One plain function a measurement: it takes a seed and its sizes, and returns a frame with the columns of `rows`.
"""
