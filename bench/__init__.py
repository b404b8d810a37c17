"""Measures the product against bare baselines, on real services and roles."""
