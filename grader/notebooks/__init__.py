"""nbgrader and Jupyter."""
