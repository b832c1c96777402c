"""A run of judged results on a change's page at GitHub: annotations, and a step summary."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.github import (
    Annotation,
    add_to_summary,
    escape_markdown,
    fold,
    list_lines,
    make_commands,
    render_code,
)
from rocmoe.profiles.outcome import BAD, Exit, judge_run, list_gaps, list_idle_backends
from rocmoe.profiles.report import COLUMNS, summarize, tell_failures, tell_finding

USER = "user:"


def annotate_run(
    artifact: Artifact, excesses: Sequence[str] = (), summary: str | None = None
) -> list[str]:
    """Commands for GitHub's runner: an error for all that the exit code is not 0 for.

    That is each result that is bad, each excess over a budget, and where nothing ran, or a backend
    that was named ran nothing, the reasons.  summary: the file that GitHub shows behind a step,
    which gets the Markdown.
    """
    add_to_summary(summary, render_summary(artifact, excesses))
    told = [_annotate(result) for result in artifact.results if result.status in BAD]
    told += [Annotation("over budget", line) for line in excesses]
    if judge_run(artifact, excesses) is Exit.INCONCLUSIVE:
        idle = list_idle_backends(artifact)
        message = f"nothing ran of {', '.join(idle)}" if idle else "nothing ran"
        why = dict.fromkeys(each.reason for each in artifact.results if each.reason)
        told.append(Annotation("inconclusive", ": ".join([message, *why])))
    return list(make_commands("error", f"rocmoe {artifact.request.command}", told))


def _annotate(result: Result) -> Annotation:
    """The result, why, and the first finding; beside the file of the user's function."""
    found = [" ".join(tell_finding(finding).split()) for finding in result.findings[:1]]
    reason = result.reason or result.status
    message = "\n".join([f"{result.case.id}@{result.selector} on {result.device}", reason, *found])
    name = result.selector.removeprefix(USER).rpartition(":")[0]
    return Annotation(result.status, message, name if result.selector.startswith(USER) else "")


def render_summary(artifact: Artifact, excesses: Sequence[str] = ()) -> str:
    """Markdown: the outcome, a row an op and backend, what went wrong, and what was not tested."""
    from tabulate import tabulate

    outcome = judge_run(artifact, excesses)
    count = sum(result.status in BAD for result in artifact.results)
    rows = [
        [op, render_code(backend), *map(escape_markdown, cells)]
        for op, backend, *cells in summarize(artifact)
    ]
    parts = [
        f"**rocmoe {artifact.request.command}** {outcome.name.lower()} (exit {int(outcome)}): "
        f"{count} of {len(artifact.results)} results went wrong",
        str(tabulate(rows, COLUMNS, tablefmt="github", disable_numparse=True)),
    ]
    if failures := tell_failures(artifact):
        parts.append("```text\n" + "\n".join(failures).replace("```", "'''") + "\n```")
    if excesses:
        parts.append("Over budget:\n\n" + list_lines(excesses))
    if gaps := list_gaps(artifact):
        parts.append(fold(f"{len(gaps)} not tested", list_lines(gaps)))
    return "\n\n".join(parts)
