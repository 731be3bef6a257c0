"""Records and where they come from; small built-in sets written for this project."""
