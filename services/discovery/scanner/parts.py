"""Parts of an inquiry: each asks on its own, and several ask side by side."""

from collections.abc import Generator, Sequence
from typing import TypeVar

from services.discovery.scanner.questions import Answer, Question

T = TypeVar("T")
Part = Generator[list[Question], list[Answer], T]
"""A part of an inquiry: asks, and returns what it found out."""


def side_by_side(parts: Sequence[Part[T]]) -> Part[list[T]]:
    """Run several parts at a time, so that what each asks next is asked together."""
    results: dict[int, T] = {}
    answers: dict[int, list[Answer] | None] = dict.fromkeys(range(len(parts)))
    while True:
        questions: dict[int, list[Question]] = {}
        for number, got in answers.items():
            try:
                questions[number] = next(parts[number]) if got is None else parts[number].send(got)
            except StopIteration as end:
                results[number] = end.value
        if not questions:
            return [results[number] for number in range(len(parts))]
        together = iter((yield [question for asked in questions.values() for question in asked]))
        answers = {number: [next(together) for _ in asked] for number, asked in questions.items()}
