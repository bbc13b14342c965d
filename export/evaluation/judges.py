"""The choice of a judge by the task."""

from export.evaluation.judge import Judge
from export.evaluation.label_judge import LabelJudge
from export.evaluation.single_judge import SingleJudge
from export.evaluation.value_judge import ValueJudge
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel


def judge_of(interpretation: Interpretation) -> Judge:
    """Return the judge of predictions with a meaning."""
    if isinstance(interpretation, MultiLabel):
        return LabelJudge(interpretation)
    if isinstance(interpretation, Regression):
        return ValueJudge(interpretation)
    assert isinstance(interpretation, SingleLabel), "there is no other task"
    return SingleJudge(interpretation)
