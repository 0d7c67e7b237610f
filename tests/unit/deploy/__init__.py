"""The decisions of the local deployment: ports, places, tables, messages."""
