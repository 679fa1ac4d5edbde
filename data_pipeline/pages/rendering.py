"""Fills a page's template: escapes every value and puts styles and scripts inside the page.

A page is one file that loads no other: its template extends `base.html.j2`, which holds the style
of all pages, and may inline scripts of its own folder or of this one.
"""

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render_page(template: Path, **values: Any) -> str:
    """Returns the page as text. Escapes half of a surrogate pair, which UTF-8 cannot encode."""
    environment = _environment(template.parent)
    page = environment.get_template(template.name).render(values)
    return page.encode("utf-8", "backslashreplace").decode()


@functools.cache
def _environment(folder: Path) -> Environment:
    loader = FileSystemLoader([folder, Path(__file__).parent])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters["thousands"] = "{:,}".format
    environment.filters["decimals"] = lambda number, digits: f"{number:.{digits}f}"
    environment.globals["inline"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
