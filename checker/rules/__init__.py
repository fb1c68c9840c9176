"""The rules, one file for each part of the house that they are about."""
