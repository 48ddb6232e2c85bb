"""The page: sections through their templates, styles and scripts inside, and a policy that allows nothing else."""

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gwa_attrib._version import __version__
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.suspects.cards import key_of, later_cards
from gwa_attrib.reporting.wording import visible
from gwa_attrib.store.kept import is_finished
from gwa_attrib.store.run_json import AuditNotes

TEMPLATES = Path(__file__).parent / "templates"
NONE = "'none'"
STYLES = ("page.css", "gallery.css")
SCRIPTS = ("decisions.js", "gallery.js", "table.js", "page.js")


def render(context: Context, sections: Sequence[Section], background: Sequence[Section], target: Path) -> str:
    """The whole HTML document, for a file at `target`."""
    templates = environment()

    def body(section: Section) -> Markup:
        return Markup(templates.get_template(f"sections/{section.name}.html").render(section.values))

    styles, scripts = texts(STYLES), texts(SCRIPTS)
    return templates.get_template("page.html").render(
        title=visible(context.run.path.name),
        samples=len(context.run.sample_ids),
        classes=len(context.run.class_names),
        epochs=len(context.signals.epochs),
        suspects=len(context.suspects),
        sections=[(section, body(section)) for section in sections],
        background=[(section, body(section)) for section in background],
        styles=styles,
        scripts=scripts,
        policy=policy(styles, scripts),
        facts=facts(context, target),
        shows=shows(context),
        version=__version__,
    )


def shows(context: Context) -> str:
    """Say how much the page shows of its run, for who would replace it: samples, or their names and numbers."""
    return "numbers" if context.data is None else "samples"


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
            # No script may make elements out of text: labels and texts come from anywhere.
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def facts(context: Context, target: Path) -> dict[str, object]:
    """Collect what the scripts need, as it was given: they write it to text nodes and to decisions.csv only."""
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
    listed = range(context.listed)
    shown = {i: key_of(context, i) for i in listed}
    return {
        "run": context.run.info["run_id"],
        "place": place_of(context.run.path, target),
        "audited": AuditNotes.read(context.run.info).made_by_audit,
        "huggingface": hasattr(context.data, "column_names"),
        "verifiable": is_finished(context.run.path, context.run.info),
        "classes": list(names),
        "names": [visible(name) for name in names],
        "suspects": [list(row) for _, row in zip(listed, columns, strict=False)],
        "visibleKeys": {i: key for i, key in shown.items() if key != suspects.keys[i]},
        "doubtfulFrom": int((~suspects.doubtful).sum()),
        "cards": later_cards(context),
    }


def place_of(run: object, target: Path) -> dict[str, str | None]:
    """Where the run lies, as seen from the page: so the page knows its path wherever the two are, and holds no path of
    this machine. Where they have nothing in common but the root, only the name of the run is told."""
    name = str(run) if not Path(str(run)).is_absolute() else Path(str(run)).name
    try:
        here, there = target.resolve().parent, Path(str(run)).resolve()
        common = Path(os.path.commonpath([here, there]))
    except ValueError:  # on two drives
        return {"folder": None, "name": name}
    apart = len(common.parts) < 2 and here != there
    return {"folder": None if apart else Path(os.path.relpath(there, here)).as_posix(), "name": name}


def texts(names: Sequence[str]) -> list[Markup]:
    """Files of the page, as they are."""
    return [Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in names]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
