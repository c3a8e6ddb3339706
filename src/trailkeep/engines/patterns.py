"""Regular expressions of RE2, which DuckDB has, as those of Java, which Spark has."""

from __future__ import annotations

import re

from trailkeep.engines.portable import Untranslatable

_SPACE = r"\t\n\f\r "
_FLAGS = {"c": "", "i": "iu", "s": "s", "m": "m"}
_TOKEN = re.compile(
    r"(?P<flags>\(\?[a-zA-Z-]+[:)])|(?P<named>\(\?P<)|(?P<group>\(\?:)|(?P<other>\(\?)|(?P<escape>\\.)|(?P<plain>.)",
    re.DOTALL,
)
_CLASS_ESCAPES = frozenset("dDwWtnrf\\]^-[.*+?(){}|/$&'\"")
_ESCAPES = frozenset("dDwWbBtnrfAzQE\\^$.*+?()[]{}|/-\"'#&~,:;=<>@!%_ ")


def java_pattern(pattern: str, options: str = "") -> str:
    """The Java pattern that finds what RE2's `pattern` finds. Raises Untranslatable for what is not known to.

    Without ``(?d)`` Java ends a line at four more characters; its ``$`` also matches before a last line feed, and its
    ``\\s`` knows one more space.
    """
    try:
        flags = "d" + "".join(_FLAGS[option] for option in options)
    except KeyError:
        raise Untranslatable(f"the options {options!r} of a regular expression") from None
    written: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern[position] == "[":
            text, position = _character_class(pattern, position)
            written.append(text)
            continue
        found = _TOKEN.match(pattern, position)
        assert found is not None
        written.append(_token(found, pattern, multiline="m" in options))
        position = found.end()
    return f"(?{flags})" + "".join(written)


def java_replacement(replacement: str) -> str:
    r"""The replacement text as Java takes it: ``\1`` is ``$1`` there."""
    written = []
    for text in re.findall(r"\\\d|\\\\|\\|[^\\]+", replacement):
        if re.fullmatch(r"\\\d", text):
            written.append(f"${text[1]}")
        elif text == "\\":
            raise Untranslatable("a backslash in a replacement that nothing follows")
        else:
            written.append(text.replace("$", r"\$") if text != r"\\" else text)
    return "".join(written)


def _token(found: re.Match[str], pattern: str, *, multiline: bool) -> str:
    text = found[0]
    if found["flags"]:
        if not re.fullmatch(r"\(\?[is]+[:)]", text):
            raise Untranslatable(f"{text} in the regular expression {pattern!r}")
        return text.replace("i", "iu")
    if found["named"]:
        return "(?<"
    if found["other"]:
        raise Untranslatable(f"(? in the regular expression {pattern!r}")
    if found["escape"]:
        if text[1] == "s":
            return f"[{_SPACE}]"
        if text[1] == "S":
            return f"[^{_SPACE}]"
        if text[1] not in _ESCAPES or text[1] in "QE":
            raise Untranslatable(f"{text} in the regular expression {pattern!r}")
        return text
    return r"\z" if text == "$" and not multiline else text


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """The class that begins at `start`, and where it ends."""
    written = ["["]
    position = start + 1
    if pattern.startswith("^", position):
        written.append("^")
        position += 1
    first = True
    while position < len(pattern):
        character = pattern[position]
        if character == "]" and not first:
            return "".join([*written, "]"]), position + 1
        if pattern.startswith("[:", position):
            raise Untranslatable(f"a class of characters by name in the regular expression {pattern!r}")
        if character == "\\":
            escaped = pattern[position + 1 : position + 2]
            if escaped == "s":
                written.append(_SPACE)
            elif escaped in _CLASS_ESCAPES and escaped:
                written.append("\\" + escaped)
            else:
                raise Untranslatable(f"\\{escaped} in the regular expression {pattern!r}")
            position += 2
        else:
            written.append("\\" + character if character in "[]&^" else character)
            position += 1
        first = False
    raise Untranslatable(f"the regular expression {pattern!r} has a class without an end")
