"""canvas/src/generated.ts, from the protocol: `python -m truebeat.kit.canvas_types --write PATH` or `--check PATH`.

The page and the server share one definition of every message, path and word.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import inspect

from truebeat.domain.conditions import PRECEDENCE, RULES, Symptom, Witness
from truebeat.domain.delivery import State
from truebeat.protocol import delegations, events, incidents, paths, resources, tasks

if TYPE_CHECKING:
    import enum

#: what the page sends or reads; what these refer to comes along
_MESSAGES: Final = (
    resources.WorkspaceView,
    resources.WorkspacePage,
    resources.RestartReply,
    resources.SessionView,
    resources.Login,
    resources.Problem,
    events.Event,
    events.EventPage,
    events.Pulse,
    incidents.IncidentDetail,
    incidents.IncidentView,
    incidents.IncidentPage,
    tasks.NewTask,
    tasks.TaskView,
    tasks.TaskPage,
    tasks.Update,
    delegations.DelegationView,
    delegations.OpenDelegations,
    delegations.TraceNode,
    delegations.NotificationPage,
    delegations.NotificationsUnread,
)

_PLAIN: Final[dict[type[Any], str]] = {
    inspect.IntType: "number",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
    inspect.UUIDType: "string",
    inspect.DateTimeType: "string",
    inspect.AnyType: "unknown",
}


class _Page:
    def __init__(self) -> None:
        self._written: dict[str, str] = {}

    def text(self) -> str:
        for message in _MESSAGES:
            self._struct(inspect.type_info(message))
        blocks = [
            "// Generated from the Python protocol by `just fix`; `just check` fails when it is stale.",
            _union("Status", [status.value for status in PRECEDENCE], "worst first"),
            _union("Symptom", [symptom.value for symptom in Symptom]),
            _union("Witness", [witness.value for witness in Witness]),
            _union("TaskState", [state.value for state in State]),
            "/** What each condition means, and when it opens and closes: the judge's own table. */\n"
            "export const RULES: Record<Symptom, { status: Status; opens: string; closes: string }> = "
            + json.dumps(
                {
                    symptom.value: {"status": rule.status.value, "opens": rule.opens, "closes": rule.closes}
                    for symptom, rule in RULES.items()
                },
                indent=2,
            )
            + ";",
            _paths(),
            *self._written.values(),
        ]
        return "\n\n".join(blocks) + "\n"

    def _struct(self, info: Any) -> str:
        name: str = info.cls.__name__
        if name not in self._written:
            self._written[name] = ""  # a struct may hold itself
            fields = []
            for field in info.fields:
                optional = "?" if not field.required and _may_be_missing(field) else ""
                fields.append(f"  {field.encode_name}{optional}: {self._type(field.type)};")
            self._written[name] = f"export interface {name} {{\n" + "\n".join(fields) + "\n}"
        return name

    def _type(self, info: Any) -> str:
        if (plain := _PLAIN.get(type(info))) is not None:
            return plain
        match info:
            case inspect.StructType():
                return self._struct(info)
            case inspect.EnumType():
                return _enum_name(info.cls)
            case inspect.LiteralType():
                return " | ".join(json.dumps(value) for value in info.values)
            case inspect.UnionType():
                return " | ".join(dict.fromkeys(self._type(one) for one in info.types))
            case inspect.ListType():
                inner = self._type(info.item_type)
                return f"({inner})[]" if " | " in inner else f"{inner}[]"
            case inspect.DictType():
                return f"Record<string, {self._type(info.value_type)}>"
            case inspect.CustomType() | inspect.RawType():
                return "unknown"
        raise TypeError(f"the canvas has no type for {info}")


def _may_be_missing(field: Any) -> bool:
    """Structs are sent whole; only UNSET is left out."""
    return isinstance(field.type, inspect.UnionType) and any(
        isinstance(one, inspect.CustomType) for one in field.type.types
    )


def _enum_name(kind: type[enum.Enum]) -> str:
    return "TaskState" if kind is State else kind.__name__


def _union(name: str, values: list[str], note: str = "") -> str:
    words = ", ".join(json.dumps(value) for value in values)
    constant = {"Status": "STATUSES", "Symptom": "SYMPTOMS", "Witness": "WITNESSES"}.get(name, "TASK_STATES")
    comment = f"/** {note} */\n" if note else ""
    return f"{comment}export const {constant} = [{words}] as const;\nexport type {name} = (typeof {constant})[number];"


def _paths() -> str:
    rows = []
    for name, template in sorted(get_paths().items()):
        holes = re.findall(r"{(\w+)(?::\w+)?}", template)
        if holes:
            arguments = ", ".join(f"{_camel(hole)}: string" for hole in holes)
            body = re.sub(r"{(\w+)(?::\w+)?}", lambda hole: f"${{encodeURIComponent({_camel(hole[1])})}}", template)
            rows.append(f"  {_camel(name.lower())}: ({arguments}) => `{body}`,")
        else:
            rows.append(f"  {_camel(name.lower())}: {json.dumps(template)},")
    return "export const paths = {\n" + "\n".join(rows) + "\n} as const;"


def get_paths() -> dict[str, str]:
    """Every path by its name in protocol/paths.py."""
    return {name: getattr(paths, name) for name in vars(paths) if name.isupper()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def page() -> str:
    """The whole file."""
    return _Page().text()


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--write", path]:
            Path(path).write_text(page(), encoding="utf-8")
            return 0
        case ["--check", path]:
            if Path(path).read_text(encoding="utf-8") == page():
                return 0
            print(f"{path} is stale; run: just fix", file=sys.stderr)
            return 1
    print("usage: python -m truebeat.kit.canvas_types --write PATH | --check PATH", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
