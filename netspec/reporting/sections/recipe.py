"""The recipe that a net was trained with, or that its spec has."""

from __future__ import annotations

from dataclasses import fields

from netspec.errors import DataError
from netspec.ir.recipe import Recipe
from netspec.reporting.facts import Facts, as_list, as_table
from netspec.reporting.html import Html
from netspec.reporting.subject import Subject
from netspec.views.diff_spec import steps_of


def content(subject: Subject) -> Html:
    """Return the directives of the recipe."""
    return as_list(facts(subject))


def compared(a: Subject, b: Subject) -> Html:
    """Return the directives of two recipes side by side."""
    return as_table(a, b, facts(a), facts(b))


def facts(subject: Subject) -> Facts:
    """Return the directives as a spec writes them, with the changes that the run made.

    Raises:
        DataError: The spec does not have a recipe.
    """
    recipe = subject.net.recipe if subject.run is None else subject.run.recipe
    if recipe is None:
        raise DataError(f"{subject.net.name} does not have a recipe")
    return [
        (directive.name, " | ".join(steps_of(directive.name, recipe)))
        for directive in fields(Recipe)
        if steps_of(directive.name, recipe)
    ]
