"""Measuring the monitor: realistic streams, corruptions to plant in them, and what was caught of them."""
