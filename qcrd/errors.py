"""The errors a user can act on; the CLI prints their message alone, without a traceback."""


class QcrdError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class ConfigError(QcrdError):
    """A configuration that cannot be run; names file, line, field, value and what is allowed."""


class StoreError(QcrdError):
    """A store that cannot be read or written."""


class DataError(QcrdError):
    """A data set that is absent or not in the expected form."""


class Diverged(QcrdError):
    """A training whose loss is no longer a number.

    Attributes:
        step: optimiser step (1-based) at which it was seen.
        question_ids: the questions of that batch.
    """

    def __init__(self, step: int, question_ids: list[str]):
        super().__init__(
            f"loss is not finite at step {step} (questions {', '.join(question_ids[:4])}, ...); "
            "lower training.lr or contrastive.beta, or set training.clip"
        )
        self.step = step
        self.question_ids = question_ids
