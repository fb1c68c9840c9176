"""The model: whole lives of payouts without I/O, with our own decisions and every fault."""
