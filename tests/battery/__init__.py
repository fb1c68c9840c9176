"""The fault battery: real processes, real faults, and figures that have to be zero."""
