"""The simulated bank: a process of its own that shares no code with its customers."""
