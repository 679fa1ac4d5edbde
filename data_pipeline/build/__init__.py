"""Starts the commands `data_pipeline.build` and `data_pipeline.build.recheck`."""
