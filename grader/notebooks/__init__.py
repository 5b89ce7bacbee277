"""All of nbgrader and Jupyter: a student's cells, the preprocessors that grade without executing, the gradebook."""
