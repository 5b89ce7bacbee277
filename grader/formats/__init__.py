"""A report in the form that another tool reads, one module a tool."""
