"""Data sets: reading, checking, converting and splitting labelled images."""
