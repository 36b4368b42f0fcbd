"""Speed of the product's functions, as ratios against plain implementations of the same operations.

`make bench` or `python -m benchmarks [NAME ...] [--quick] [--write]`. One file per topic, each with a `run`.
"""
