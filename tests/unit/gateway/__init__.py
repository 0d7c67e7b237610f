"""Rules of the gateway, without IO."""
