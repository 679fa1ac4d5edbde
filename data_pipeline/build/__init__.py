"""The documented spellings `python -m data_pipeline.build` and `data_pipeline.build.recheck`."""
