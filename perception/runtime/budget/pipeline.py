"""The loop with a budget: as `perception.runtime.pipeline`, but the heads and the size are chosen frame by frame."""

from typing import Any

from perception.runtime.budget.selector import TaskSelector
from perception.runtime.pipeline import Job, Pipeline


class BudgetPipeline(Pipeline):
    """Frames are chosen for, and fitted, by the thread that runs them: those of the reading thread may yet be replaced by newer ones.

    Args:
        *arguments, **options: of `Pipeline`; the backend is not run.
        selector: chooses and runs; it must also be among the observers, and stays open.
    """

    def __init__(self, *arguments: Any, selector: TaskSelector, **options: Any) -> None:  # noqa: ANN401 (as they are)
        super().__init__(*arguments, **options)
        self._selector = selector
        reading, inferring, finishing = self._groups
        self._groups = ((), (*reading, *inferring), finishing)

    def _preprocess(self, job: Job) -> None:
        job.fed = self._selector.prepare(job.frame)

    def _infer(self, job: Job) -> None:
        job.outputs = self._selector.infer(job.frame)

    def _postprocess(self, job: Job) -> None:
        job.scene = self._selector.scene(job.frame, self._reading)
