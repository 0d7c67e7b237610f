"""The generated documents: complete, valid, fresh, and readable."""
