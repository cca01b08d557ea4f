"""GPUs of this machine, and their reservation: one stage per GPU, whoever starts it."""
