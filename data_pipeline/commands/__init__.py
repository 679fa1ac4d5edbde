"""The command lines of data_pipeline: parse, call, print."""
