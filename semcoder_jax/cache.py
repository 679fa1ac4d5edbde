"""Locates the cache folder, which data_pipeline shares."""

from data_pipeline.files.cache import CACHE_VARIABLE, cache_folder

__all__ = ["CACHE_VARIABLE", "cache_folder"]
