"""Studies: many combinations of parts, run alike, so that the results say what mattered.

A *study file* names a base configuration and *rows*, each with the changes that make it; one row is the *baseline*. The
*plan* resolves every row through the command line's own parser and refuses what would not be a fair comparison. A *run*
is one row with one seed: an ordinary fit and test in a directory of its own, ending in a `result.json`. An *engine*
decides where the runs are carried out.
"""
