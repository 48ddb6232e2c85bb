"""The page: sections through their templates, styles and scripts inside, and a policy that allows nothing else."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gwa_attrib import __version__
from gwa_attrib.report.context import LISTED, Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.wording import visible

TEMPLATES = Path(__file__).parent / "templates"
NONE = "'none'"
STYLES = ("page.css", "gallery.css")
SCRIPTS = ("decisions.js", "gallery.js", "table.js")


def render(context: Context, sections: Sequence[Section]) -> str:
    """The whole HTML document."""
    templates = environment()
    bodies = [
        (section, Markup(templates.get_template(f"sections/{section.name}.html").render(section.values)))
        for section in sections
    ]
    styles, scripts = texts(STYLES), texts(SCRIPTS)
    return templates.get_template("page.html").render(
        title=visible(context.run.path.name),
        samples=len(context.run.sample_ids),
        classes=len(context.run.class_names),
        epochs=len(context.signals.epochs),
        suspects=len(context.suspects),
        sections=bodies,
        styles=styles,
        scripts=scripts,
        policy=policy(styles, scripts),
        facts=facts(context),
        version=__version__,
    )


def environment() -> Environment:
    """The templates, with every value escaped."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Content-Security-Policy: pictures, and the very styles and scripts, that are in the page; nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {' '.join(map(_hash, styles))}",
            f"script-src {' '.join(map(_hash, scripts)) or NONE}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def facts(context: Context) -> dict[str, Any]:
    """What the scripts need, as it was given: they write it to text nodes and to decisions.csv only."""
    suspects, names = context.suspects, context.class_names
    index = {name: i for i, name in enumerate(names)}
    columns = zip(
        suspects.sample_ids.tolist(),
        suspects.keys,
        (index[name] for name in suspects.given),
        (index[name] for name in suspects.proposed),
        (round(score, 6) for score in suspects.label_score.tolist()),
        strict=True,
    )
    return {
        "run": context.run.info["run_id"],
        "classes": list(names),
        "names": [visible(name) for name in names],
        "suspects": [list(row) for _, row in zip(range(LISTED), columns, strict=False)],
    }


def texts(names: Sequence[str]) -> list[Markup]:
    """Files of the page, as they are."""
    return [Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in names]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
