"""Columns to profiles: summaries that merge exactly, one sketch a file, and the panes that they are merged into."""
