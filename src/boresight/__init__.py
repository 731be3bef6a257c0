"""boresight: the alignment workbench for language models."""
