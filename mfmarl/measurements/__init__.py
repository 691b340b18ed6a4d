"""Measurements of the package's own methods where `mfmarl.theory` knows the exact result.

Each measurement is a plain function. It takes a seed and sizes, and returns a tidy frame with the columns of `rows`.
"""
