"""What is not to leave this machine by accident: passwords and tokens in addresses, and where its files lie."""

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from blindsr.runtime import paths

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s'\"<>]+)")
_HOST = re.compile(r"[^@:]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?")
_VALUE = re.compile(r"=[^&;#]*")
_PART = r"[^\s'\",;:()\[\]=/\\]+"
_BEGINS = r"(?<=file://)|(?<=sqlite:///)|(?<![\w.~:/\\-])"
_PLACE = re.compile(rf"(?:{_BEGINS})(?:~|[A-Za-z]:(?=[\\/]))?[\\/](?:{_PART}[\\/])+(?={_PART})")
_HIDDEN = "***"


def without_secrets(text: str) -> str:
    """Hide user, password, and the values of a query in all addresses of a text.

    A password may hold any character, quoted or not: what stands in front of the last @ that can belong to it is
    hidden.
    """
    return _ADDRESS.sub(lambda found: found["scheme"] + _without_secrets(found["rest"]), text)


def without_places(text: str) -> str:
    """Shorten the absolute paths in a text, which name users and disks, to what they have below the project, or to
    their last part."""
    for folder, short in ((paths.project_root(), ""), (Path.cwd(), "")):
        if folder != folder.parent:
            text = text.replace(f"{folder}/", short)
    return _PLACE.sub("", text)


def public(text: str) -> str:
    """Both: what may be published of a command, a message or a setting."""
    return without_places(without_secrets(text))


def setting(value: Any) -> Any:
    """What may be published of a value of the settings, or of an argument: of a path its last part, for one.

    Args:
        value: Text, or a list or mapping that holds some; others come back as they are.
    """
    if isinstance(value, Mapping):
        return {key: setting(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [setting(each) for each in value]
    if not isinstance(value, str):
        return value
    name, equals, path = ("", "", value) if "://" in value else value.rpartition("=")
    if path.startswith("~") or paths.is_private(path):  # which may hold blanks, and be no path to a whole text
        root = f"{paths.project_root()}/"
        return f"{name}{equals}{path.removeprefix(root) if path.startswith(root) else PureWindowsPath(path).name}"
    return public(value)


def _without_secrets(rest: str) -> str:
    end = re.search(r"[/?#]", rest)
    authority = rest[: end.start()] if end else rest
    at = authority.rfind("@")
    if at < 0 and not _HOST.fullmatch(authority):  # a password with a slash in it
        at = rest.rfind("@")
    place, _, query = rest[at + 1 :].partition("?")
    shown = f"{_HIDDEN}@{place}" if at >= 0 else place
    address, _, fragment = shown.partition("#")
    shown = f"{address}#{_VALUE.sub(f'={_HIDDEN}', fragment)}" if fragment else address
    return f"{shown}?{_VALUE.sub(f'={_HIDDEN}', query) if '=' in query else _HIDDEN}" if query else shown
