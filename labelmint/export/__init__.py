"""Export of synthetic images in formats that other libraries read."""
