"""Implements the commands of data_pipeline: parses arguments, calls the library, prints."""
