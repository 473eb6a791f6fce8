"""CSV (RFC 4180, any delimiter) as tables of strings, line by line, so that damage costs only the lines it is on.

A record over several lines counts only when it is strictly well-formed (closed quotes, no bare quotes, the right number of fields). Otherwise
its first line is rejected and reading goes on with the next one: a single stray quote can't swallow the one-line records after it.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from connectors.files.config import FileOptions
from connectors.files.lines import MAX_RECORD, Lines, text_fault
from connectors.files.pages import Batch, Gatherer, unique_names
from connectors.types import Reject

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 100
_ERRORS = (
    ("expected after", "text stands between a closing quote and the delimiter"),
    ("unexpected end", "a quote is opened and never closed"),
    ("new-line character", "a carriage return stands outside quotes"),
    ("field limit", f"longer than {MAX_RECORD:,} characters"),
)


class _EndlessError(Exception):
    """A record grew beyond `MAX_RECORD`."""


class _Tape:
    """Lines one at a time, that can be read again. `taken` are the lines of the current record, `characters` their length."""

    def __init__(self, blocks: Iterator[list[str]]) -> None:
        self._blocks = blocks
        self._ahead: deque[str] = deque()
        self.taken: list[str] = []
        self.characters = 0

    def __iter__(self) -> _Tape:
        return self

    def __next__(self) -> str:
        if self.characters > MAX_RECORD:
            raise _EndlessError
        if not self._ahead:
            self._ahead.extend(next(self._blocks))
        line = self._ahead.popleft()
        self.taken.append(line)
        self.characters += len(line)
        return line

    def next_block(self) -> list[str]:
        """A whole block where one begins here, else nothing."""
        return [] if self._ahead else next(self._blocks, [])

    def give_back(self, lines: Sequence[str]) -> None:
        self._ahead.extendleft(reversed(lines))

    def start_record(self) -> None:
        self.taken = []
        self.characters = 0


@dataclass(slots=True)
class _Part:
    """Lines `first`..`last` of the file: their rows, or why there are none."""

    first: int
    last: int
    rows: list[list[str]]
    characters: int
    fault: str = ""


def read_csv(lines: Lines, slice: str, options: FileOptions) -> Iterator[Batch]:
    """The file's rows in pages; at least one batch.

    Args:
        lines: the file.
        slice: named in rejects.
        options: delimiter, header and null values.

    Yields:
        Columns in file order, all strings. Every line that is not blank is part of a row or named by a reject.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_RECORD))  # of the whole process; only ever raised
    blocks = iter(lines)
    sample = next(blocks, [])
    delimiter = _delimiter(sample[:_SAMPLE_LINES]) if options.delimiter == "auto" else options.delimiter
    gather = Gatherer(slice, options.null_values)
    names: list[str] = []
    last = 0
    for part in _parts(_Tape(chain([sample] if sample else [], blocks)), lines, delimiter):
        last = part.last
        if part.fault and options.header and not names:
            yield Batch(None, [Reject(slice, "", f"the header on line {part.first} can't be read, so no line was: {part.fault}")])
            return
        if part.fault:
            gather.reject(part.first, last, part.fault)
        elif not names and options.header:
            names = unique_names(part.rows[0])
        else:
            names = names or unique_names([""] * len(part.rows[0]))
            gather.add(part.rows, part.characters)
        if gather.full:
            yield gather.take(names)
    if lines.cut_off:
        gather.reject_rest(last + 1)
    yield gather.take(names)


def _parts(tape: _Tape, lines: Lines, delimiter: str) -> Iterator[_Part]:
    """Everything that is not blank; the first sound record, alone, says how many fields there must be."""
    reader = csv.reader(tape, delimiter=delimiter, strict=True)
    well_formed = _well_formed(delimiter)
    width, line = 0, 1
    while True:
        if width and (block := tape.next_block()):
            if not lines.dirty and (rows := _plain_rows(block, delimiter, width)):
                yield _Part(line, line + len(block) - 1, rows, sum(map(len, block)))
                line += len(block)
                continue
            tape.give_back(block)
        tape.start_record()
        try:
            fields, fault = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            fields, fault = [], next((words for sign, words in _ERRORS if sign in str(error)), "not well-formed CSV")
        except _EndlessError:
            fields, fault = [], f"longer than {MAX_RECORD:,} characters"
        if fields and width and len(fields) != width:
            fault = f"{len(fields)} fields where there should be {width}"
        if len(tape.taken) > 1:
            fault = fault or ("" if well_formed("".join(tape.taken)) else "a quote stands inside an unquoted field")
            if fault:
                tape.give_back(tape.taken[1:])
                del tape.taken[1:]
        fault = fault or (text_fault("".join(tape.taken)) if lines.dirty or tape.characters > MAX_RECORD else "")
        last = line + len(tape.taken) - 1
        if fault:
            yield _Part(line, last, [], 0, fault)
        elif fields:
            width = len(fields)
            yield _Part(line, last, [fields], tape.characters)
        line = last + 1


def _plain_rows(block: list[str], delimiter: str, width: int) -> list[list[str]] | None:
    """The rows of a block in which every line is one sound record, by far the most common case; otherwise None."""
    try:
        rows = list(csv.reader(block, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    sound = len(rows) == len(block) and set(map(len, rows)) == {width} and max(map(len, block)) <= MAX_RECORD
    return rows if sound else None


def _well_formed(delimiter: str) -> Callable[[str], object]:
    """A test for one record by RFC 4180, which unlike `csv` knows no bare quotes in unquoted fields."""
    between = re.escape(delimiter)
    field = f'(?:"(?:[^"]++|"")*+"|[^"{between}\\r\\n]*+)'
    return re.compile(f"{field}(?:{between}{field})*+(?:\\r\\n|\\r|\\n)?").fullmatch


def _delimiter(sample: Sequence[str]) -> str:
    """The delimiter under which most sample lines have as many fields as the first, preferring more fields; a comma when none splits the first."""
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            widths = [len(fields) for fields in csv.reader(sample, delimiter=delimiter) if fields]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best
