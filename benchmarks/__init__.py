"""Benchmarks: fast paths beside the plain code they must equal, timed side by side.

A *subject* is a part of the zoo and has a file of its own here, whose `cases(quick)` yields what is measured. Each
*case* is first checked, then timed; the *record* of all of them, with the machine they ran on, is what the command
prints and keeps.
"""

SUBJECTS = {
    "data": "benchmarks.data",
    "heads": "benchmarks.heads",
    "matting": "benchmarks.matting",
    "metrics": "benchmarks.metrics",
    "train": "benchmarks.train",
    "video": "benchmarks.video",
}
"""Where the cases of each subject are."""

OFFICIAL = {
    "data": "benchmarks.data_references",
    "matting": "benchmarks.matting_references",
    "train": "benchmarks.matting_references",
}
"""Subjects whose plain code can be the official one, and what runs it from a checkout."""
