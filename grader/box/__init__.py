"""How a program is kept in: the wall, one box behind it, the channel out of it, and the code that runs inside."""
