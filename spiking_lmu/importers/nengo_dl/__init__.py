"""Networks trained in NengoDL, live or saved with ``save_params``."""
