"""Builds on a cluster: the steps of a build as Beam pipelines, for runners other than DirectRunner.

    sources   lists source patterns, digests files, asks workers what they are
    seeds     sources → distinct functions with their split;  `components` joins alike ones
    rows      functions → group files → counts
    dataset   group files → ArrayRecord shards and JSON lines

`build` runs the four jobs in this order. The job graphs hold options and paths alone: sources,
functions, groups and counts are data, in stage files (`stage_files`) between the jobs. What needs
a view of everything is a combine or a join:

    one of each id          GroupByKey by id
    near-duplicates         GroupByKey by block; pairs that repeat, joined to clusters of ids
                            (a combine of spanning forests); each cluster settled by itself
    benchmarks' tasks       an index of the tasks alone, in each worker
    held-out split          clusters of ids as above; a histogram of their sizes decides the draw
    faulty variants         CoGroupByKey by function digest
    order of the dataset    counts by bucket of the hashed id give each record its place

Ids of functions that have something in common, a histogram and counts are all that one worker
holds at once; the driver reads four small JSON files. Needs apache-beam.
"""
