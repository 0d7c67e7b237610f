"""What a click is and where it goes: pure rules, no IO, no clock, no wire format."""
