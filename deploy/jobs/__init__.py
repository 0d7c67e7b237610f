"""One-shot commands of the image: what must have run before the processes start."""
