"""The process that decides: a slot that prepares once and forks a judge for each job; pytest, deadlines, outcomes."""
