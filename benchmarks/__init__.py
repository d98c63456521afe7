"""Benchmarks of the fast paths against plain code that computes the same.

Run them from a checkout with `python -m benchmarks SUBJECT`. Each subject has a module with a function
`cases(quick)`, which yields one `Case` per row of the result table. A case is first checked, then timed.
"""

SUBJECTS = ("data", "heads", "matting", "metrics", "train", "video")

OFFICIAL = {
    "data": "benchmarks.data_references",
    "matting": "benchmarks.matting_references",
    "train": "benchmarks.matting_references",
}
"""Subjects that can be compared with official code, and the modules that load it from a checkout."""
