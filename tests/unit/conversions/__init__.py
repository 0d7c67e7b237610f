"""Rules of conversions, without IO."""
