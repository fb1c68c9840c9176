"""Tests of the simulated bank, as a customer meets it."""
