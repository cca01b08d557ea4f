"""Tensors -> generators: one independent network per class, or one for all."""
