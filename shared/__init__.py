"""What every service stands on: kernel (pure), contracts (topics, events), runtime (IO)."""
