"""Defines the DeepSeekCoder decoder, its parameters, their shardings and their storage."""
