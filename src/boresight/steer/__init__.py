"""Methods that change what is said while the weights stay untouched."""
