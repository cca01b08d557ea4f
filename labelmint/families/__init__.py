"""GAN families, one entry per file. The file name is the name of the family."""
