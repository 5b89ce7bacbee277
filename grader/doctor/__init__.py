"""What this machine can isolate and measure, and the line that mends the rest."""
