"""Write the HTML report on any result."""

from __future__ import annotations

from pathlib import Path

from wordspot.errors import ConfigError
from wordspot.evaluation.results import EvaluationResult, RecordingsResult, TriggerResult, WordsResult
from wordspot.evaluation.streams import StreamResult


def write_report(result: EvaluationResult | StreamResult, path: Path | str) -> None:
    """Write the report on a result as one self-contained HTML page, atomically.

    Args:
        result: of `evaluate` or `test_stream`.
        path: the HTML file.

    Raises:
        ConfigError: the result of another verb.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if isinstance(result, StreamResult):
        from wordspot.reports.streams import write_stream_report

        write_stream_report(path, result)
    elif isinstance(result, WordsResult):
        from wordspot.reports.clips import write_clip_report

        write_clip_report(path, result)
    elif isinstance(result, RecordingsResult):
        from wordspot.reports.recordings import write_recording_report

        write_recording_report(path, result)
    elif isinstance(result, TriggerResult):
        from wordspot.reports.streams import write_trigger_report

        write_trigger_report(path, result)
    else:
        raise ConfigError(f"`result` must come from `evaluate` or `test_stream`, got a {type(result).__name__}")
