"""How a program is kept in."""
