"""Other people's systems: the files that move money out, and the bank's answer to them."""
