"""One module for each target that a graph can run on."""
