"""Matplotlib's SVG made fit for a page: no style attributes (a strict policy blocks them), no ids that clash, small.

Styles become presentation attributes, what siblings share moves to their group, and coordinates keep two decimals.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

Element = ElementTree.Element

_NAMESPACE = re.compile(r"^\{[^}]*\}")
_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"#([\w.-]+)")
_FONT = re.compile(r"(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px ")
GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points", "viewBox")
KEPT_PER_ELEMENT = {*GEOMETRY, "id", "href", "clip-path", "class"}
DEFAULTS = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
"""The rule for every element in the style sheet inside matplotlib's SVG."""


def page_svg(svg: str, name: str, title: str) -> str:
    """The `<svg>` element for a page.

    Args:
        svg: A document written by matplotlib.
        name: Unique in the page: ids begin with it.
        title: What the picture shows, for those who cannot see it.
    """
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        element.attrib = {_NAMESPACE.sub("", key): value for key, value in element.attrib.items()}
    # The policy of the page forbids a style sheet of its own; the metadata hold the date, another one each time.
    _drop(root, {"metadata", "style"})
    for element in root.iter():
        _style_to_attributes(element)
        _round(element)
    _rename_ids(root, name)
    _hoist(root)
    view = root.attrib["viewBox"]
    width, height = view.split()[2:]
    facts = {"viewBox": view, "width": width, "height": height, "role": "img", "aria-labelledby": f"{name}-title"}
    root.attrib = {**facts, **DEFAULTS}
    heading = ElementTree.Element("title", id=f"{name}-title")
    heading.text = title
    root.insert(0, heading)
    _unindent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _drop(element: Element, tags: set[str]) -> None:
    for child in list(element):
        if child.tag in tags:
            element.remove(child)
        else:
            _drop(child, tags)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            font = _FONT.match(value)
            if font:
                yield "font-size", font["size"]
            if font and font["weight"]:
                yield "font-weight", font["weight"]
        elif name and DEFAULTS.get(name) != value:
            yield name, value


def _style_to_attributes(element: Element) -> None:
    element.attrib.update(_declarations(element.attrib.pop("style", "")))


def _round(element: Element) -> None:
    for name in GEOMETRY:
        if name in element.attrib:
            text = _DECIMALS.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), element.attrib[name])
            element.attrib[name] = " ".join(text.split())


def _rename_ids(root: Element, name: str) -> None:
    """Number the ids that are referred to, in their order; remove the others."""
    used = {
        match[1]
        for element in root.iter()
        for key, value in element.attrib.items()
        if key == "href" or value.startswith("url(")
        for match in _REFERENCE.finditer(value)
    }
    # In the order of the document, so that the same figure is the same bytes; matplotlib draws its ids at random.
    order = [element.attrib["id"] for element in root.iter() if element.attrib.get("id") in used]
    new = {old: f"{name}-{number}" for number, old in enumerate(dict.fromkeys(order))}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in new:
            element.attrib["id"] = new[old]
        for key, value in element.attrib.items():
            if key == "href" or value.startswith("url("):
                element.attrib[key] = _REFERENCE.sub(lambda match: f"#{new.get(match[1], match[1])}", value)


def _hoist(group: Element) -> None:
    """Move the attributes that all children of a group share to the group."""
    for child in group:
        _hoist(child)
    children = [child for child in group if child.tag not in ("title", "defs")]
    if group.tag != "g" or len(children) < 2:
        return
    first, *rest = children
    for key, value in list(first.attrib.items()):
        shared = key not in KEPT_PER_ELEMENT and key not in group.attrib
        if shared and all(other.attrib.get(key) == value for other in rest):
            group.attrib[key] = value
            for child in children:
                del child.attrib[key]


def _unindent(root: Element) -> None:
    for element in root.iter():
        if element.tag not in ("text", "title", "tspan"):
            element.text = None
        element.tail = None
