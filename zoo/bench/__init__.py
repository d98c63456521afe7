"""Benchmarks: fast paths beside the plain code they must equal, timed side by side.

A *subject* is a part of the zoo and has a file of its own here, whose `cases(quick)` yields what is measured. Each
*case* is first checked, then timed; the *record* of all of them, with the machine they ran on, is what the command
prints and keeps.
"""

SUBJECTS = {
    "data": "zoo.bench.data",
    "heads": "zoo.bench.heads",
    "matting": "zoo.bench.matting",
    "metrics": "zoo.bench.metrics",
    "train": "zoo.bench.train",
    "video": "zoo.bench.video",
}
"""Where the cases of each subject are."""

OFFICIAL = {
    "data": "zoo.bench.data_references",
    "matting": "zoo.bench.matting_references",
    "train": "zoo.bench.matting_references",
}
"""Subjects whose plain code can be the official one, and what runs it from a checkout."""
