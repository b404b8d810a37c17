"""Policies as vendors write them: YAML files."""
