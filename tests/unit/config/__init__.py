"""Tests of `evenly.config`, one module for each of its modules."""
