"""Run the training pipeline on this machine; for the interpreter of `make kubeflow-venv`.

    python tests/run_pipeline_locally.py ROOT TASK EPOCHS

kfp's SubprocessRunner takes lightweight Python components only, since a container's command need
not exist here. Ours does: `python` is the program's own and the folder is the checkout. So that
one check is left out, and the very commands of the compiled pipeline run.
"""

import sys
from pathlib import Path

from kfp import local
from kfp.local.subprocess_task_handler import SubprocessTaskHandler

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "apps" / "classifier"))
from pipeline import training_pipeline

root, task, epochs = sys.argv[1:]
SubprocessTaskHandler.validate_not_container_component = lambda self, full_command: None
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root)
training_pipeline(task=task, epochs=int(epochs))
