"""The page itself: a section for each result, and the template filled in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import count
from pathlib import Path

import jinja2
from markupsafe import Markup

from valens.errors import ResultError, ValensError
from valens.files.escaped_surrogates import escape_surrogates
from valens.report.drawings import inline_svg
from valens.report.facts import Fact, command_of, facts_of, made_with, model_of, texts_of
from valens.results.formatting import at_layers, number
from valens.results.provenance import __version__
from valens.results.result import Result
from valens.results.section import Picture, Section
from valens.results.tables import PROVENANCE, TABLE


@dataclass(frozen=True)
class PageFigure:
    """A figure as it stands on the page."""

    caption: str
    svg: Markup = field(default_factory=Markup)
    fault: str = ""
    """Why there is no drawing; empty where there is."""


@dataclass(frozen=True)
class TableFile:
    """A table of a result's folder, which the page names but need not hold."""

    file: str
    rows: str
    columns: str


@dataclass(frozen=True)
class PageSection:
    """One result on the page."""

    id: str
    place: str
    title: str
    texts: str
    section: Section
    figures: tuple[PageFigure, ...]
    origin: tuple[str, ...]
    command: str
    typed: bool
    """Whether `command` is one, and no remark that there was none."""
    facts: tuple[Fact, ...]
    files: tuple[TableFile, ...]


@dataclass(frozen=True)
class Page:
    """A page about results, as HTML."""

    html: str
    faults: tuple[str, ...]
    """Which figures could not be drawn, and why, a sentence each."""


def page_of(folder: Path, results: Mapping[Path, Result]) -> Page:
    """Return the page about results, by their paths below a folder; ResultError for one that lacks what its kind has.

    A figure that cannot be drawn is a line on the page, which has all else.
    """
    sections = list(_sections(folder, results))
    faults = [
        f"{folder / section.place}: {figure.fault}"
        for section in sections
        for figure in section.figures
        if figure.fault
    ]
    return Page(_page(folder.expanduser().resolve().name, sections), tuple(faults))


def _sections(folder: Path, results: Mapping[Path, Result]) -> Iterator[PageSection]:
    numbers = count(1)
    for place, (path, result) in enumerate(results.items(), start=1):
        try:
            section = _section_of(result)
        except ResultError as error:
            raise ResultError(f"{folder / path}: {error}") from error
        figures = tuple(
            _figure(picture, f"Figure {index}", f"f{next(numbers)}-")
            for index, picture in enumerate(section.pictures, start=1)
        )
        yield _section(f"result-{place}", path, result, section, figures)


def _section_of(result: Result) -> Section:
    """Ask a result for its section; ResultError for a table that lacks what its kind has."""
    try:
        return result.section()
    except (KeyError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ResultError(
            f"This result of {result.kind} lacks what such a result has ({error!r}). Run the probe again."
        ) from error


def _figure(picture: Picture, name: str, prefix: str) -> PageFigure:
    """Draw a figure for the page, whatever a user's own code for it raises."""
    try:
        return PageFigure(picture.caption, Markup(inline_svg(picture.draw(), prefix=prefix)))
    except Exception as error:  # noqa: BLE001 - one figure's fault, of any kind, must not cost the others their page
        reason = str(error).partition("\n")[0]
        reason = reason if isinstance(error, ValensError) else f"{type(error).__name__}: {reason}"
        return PageFigure(picture.caption, fault=f"{name} could not be drawn ({reason}).")


def _section(name: str, path: Path, result: Result, section: Section, figures: tuple[PageFigure, ...]) -> PageSection:
    command, typed = command_of(result.provenance)
    model = model_of(result.provenance)
    return PageSection(
        id=name,
        place="" if path == Path() else path.as_posix(),
        title=f"{section.title} of {model}" if model else section.title,
        texts=texts_of(result.provenance),
        section=section,
        figures=figures,
        origin=made_with(result.provenance),
        command=command,
        typed=typed,
        facts=facts_of(result.provenance),
        files=tuple(_files(result)),
    )


def _files(result: Result) -> Iterator[TableFile]:
    tables = {TABLE: result.table} | {f"{name}.parquet": table for name, table in result.details.items()}
    for file, table in tables.items():
        yield TableFile(file, number(len(table)), ", ".join(map(str, table.columns)))


def _page(folder: str, sections: list[PageSection]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("valens.report", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_asset(name) for name in ("style.css", "script.js"))
    title = sections[0].title if len(sections) == 1 else f"{len(sections)} results in {folder}"
    page = environment.get_template("page.html").render(
        title=title,
        sections=sections,
        single=len(sections) == 1,
        style=Markup(style),
        script=Markup(script),
        script_sum=_sum(script),
        version=__version__,
        provenance_file=PROVENANCE,
        at_layers=at_layers,
    )
    return escape_surrogates(page)


def _asset(name: str) -> str:
    return (resources.files("valens.report") / "assets" / name).read_text(encoding="utf-8")


def _sum(script: str) -> str:
    """Return what the page's policy says of its script, so that no other can run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
