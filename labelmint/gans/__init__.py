"""Generators and discriminators: networks, objectives, and generators on disk."""
