"""The machine underneath: errors, files and locks, device and precision, processes, progress.

Imports nothing of the package.
"""

from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.system.files import path as data_path
