"""The name that `grader.notebooks.autograde` had: course folders that were published before go on naming it in their
`nbgrader_config.py`, and nbgrader stops where a name is not there.
"""

from grader.notebooks.autograde import ExportVerdicts, GradeInBox, SaveVerdicts, TakeSolutions

__all__ = ["ExportVerdicts", "GradeInBox", "SaveVerdicts", "TakeSolutions"]
