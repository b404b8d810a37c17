"""The commands about the installation itself."""
