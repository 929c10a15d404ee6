"""The tables of the documentation that are made from the code; ``scripts/reference`` writes them.

It also copies the parts of template.yaml to their places (``tests.infra.template``).

A page holds ``<!-- made from the code: NAME -->`` and ``<!-- end -->``; what is between them is the
table ``NAME`` of ``TABLES``.
"""
# pyright: reportPrivateUsage=false
# The numbers are what is told; that they are private is the modules' own business.

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from rivetless.actor.options import REFUSED, ActorOptions
from rivetless.cli import costs
from rivetless.cli.main import make_parser
from rivetless.client import connection, failures, network, retry
from rivetless.errors import CODES, GROUPS, ActorError
from rivetless.gateway.limits import Limits
from rivetless.hosts.asgi import ASGIApp
from rivetless.hosts.aws_lambda import aws_lambda
from rivetless.hosts.local import serve
from rivetless.protocol import headers, targets, values
from rivetless.registry import RegistryOptions, setup
from rivetless.runtime import job, leases, replies, runtime
from rivetless.store import base
from tests import covering, soak
from tests.infra import template

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PACKAGE: Final = ROOT / "rivetless"

_REGION: Final = re.compile(
    r"(?P<begin><!-- made from the code: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


# -- what the sources say ------------------------------------------------------------------------


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the package: its path below the package, and its tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _raised_in(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the errors that are made by a part of the sources."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        texts = [_text(arg) for arg in node.args[:2]]
        if _called(node) == "make" and texts and texts[0]:
            yield texts[0]
        elif _called(node) in ("ActorError", "__init__") and len(texts) == 2 and all(texts):
            yield f"{texts[0]}.{texts[1]}"


@cache
def raised() -> frozenset[str]:
    """Return the names of the errors that the server's side of the package makes."""
    names: set[str] = set()
    helpers: dict[str, set[str]] = {}
    called: set[str] = set()
    for path, tree in sources():
        if path == "errors.py":
            for statement in tree.body:
                if isinstance(statement, ast.FunctionDef):
                    helpers[statement.name] = set(_raised_in(statement))
            helpers["public_error"] |= helpers["internal_error"]
        elif not path.startswith(("client/", "testing/")):
            names.update(_raised_in(tree))
            for node in ast.walk(tree):
                # Some are passed on, to be called elsewhere.
                if isinstance(node, ast.Name | ast.Attribute):
                    called.add(ast.unparse(node).rpartition(".")[2])
    for helper in helpers.keys() & called:
        names |= helpers[helper]
    return frozenset(name for name in names if re.fullmatch(r"[a-z_]+\.[a-z_]+", name))


_ELSEWHERE: Final = {
    "client.unsuccessful_response": "`raise_for_status()` of a response whose body is no error of "
    "an actor's.",
}
"""Of the client's own codes, those that ``client.failures`` does not make."""


def client_codes() -> dict[str, list[str]]:
    """Return the client's own codes, with what is said of each."""
    found: dict[str, list[str]] = {}
    for function in ast.parse(inspect.getsource(failures)).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        for name in _raised_in(function):
            if name.startswith("client."):
                sentence = (ast.get_docstring(function) or "").split("\n\n")[0]
                found.setdefault(name, []).append(" ".join(sentence.split()))
    for path, tree in sources():
        if path.startswith("client/"):
            for name in _raised_in(tree):
                if name.startswith("client.") and name not in found:
                    found[name] = [_ELSEWHERE[name]]
    return dict(sorted(found.items()))


def attributes(documented: object) -> dict[str, str]:
    """Return what the ``Attributes`` or ``Args`` section of a docstring says of each name."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    told: dict[str, str] = {}
    name, inside = "", False
    for line in lines:
        if re.fullmatch(r"\w+:", line):
            inside = line in ("Attributes:", "Args:")
        elif inside and (match := re.match(r"    (\*{0,2}\w[\w, *]*): (.*)", line)):
            name = match[1]
            told[name] = match[2]
        elif inside and line.startswith("        "):
            told[name] += f" {line.strip()}"
    return {part.strip(): text for names, text in told.items() for part in names.split(",")}


# -- tables --------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("``", "`") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _code(name: object) -> str:
    return f"`{name}`"


def _anchored(name: str) -> str:
    return f'<a id="{name}"></a>`{name}`'


def _tried_again(name: str, message: str) -> str:
    group, _, code = name.partition(".")
    error = ActorError(group, code, message)
    if retry.is_lifecycle(error):
        return "yes"
    if retry.is_stale(error) or name in retry._SCHEDULING:
        return "by key"
    return "no"


def _error_rows(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for name in names:
        rule = CODES.get(name) or GROUPS[name.partition(".")[0]]
        message = rule.message.replace("`", "'") or "says what is wrong"
        yield (
            _anchored(name),
            str(rule.status),
            "yes" if rule.public else "no",
            _tried_again(name, message),
            message,
        )


_ERROR_HEAD: Final = ("error", "status", "shown", "tried again", "message")


def errors_raised() -> str:
    """The errors that a rivetless server answers."""
    names = sorted(name for name in raised() if name.partition(".")[0] in GROUPS)
    return table(_ERROR_HEAD, _error_rows(names))


def errors_known() -> str:
    """The errors of the table that no part of the package makes."""
    return table(_ERROR_HEAD, _error_rows(sorted(CODES.keys() - raised())))


def error_groups() -> str:
    """The rule of each group."""
    rows = [
        (_code(group), str(rule.status), "yes" if rule.public else "no")
        for group, rule in sorted(GROUPS.items())
    ]
    return table(("group", "status", "shown"), rows)


def errors_of_the_client() -> str:
    """The client's own errors."""
    rows = [(_anchored(name), " Or: ".join(said)) for name, said in client_codes().items()]
    return table(("error", "what happened"), rows)


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}".replace(",", " ")
    return f"`{value!r}`" if isinstance(value, str) else str(value)


def _fields(cls: type[Any]) -> str:
    told = attributes(cls)
    rows = [
        (_code(field.name), _shown(field.default), told[field.name])
        for field in dataclasses.fields(cls)
    ]
    return table(("option", "default", "meaning"), rows)


def _parameters(function: Callable[..., Any], documented: object, leave: Sequence[str]) -> str:
    told = attributes(documented)
    rows = [
        (_code(name), _shown(parameter.default), told[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in leave and parameter.kind is parameter.KEYWORD_ONLY
    ]
    return table(("option", "default", "meaning"), rows)


def class_options() -> str:
    """The keywords of an actor class that set times."""
    return _fields(ActorOptions)


def class_options_refused() -> str:
    """RivetKit's options that are not taken."""
    return table(
        ("option", "answer"), [(_code(name), reason) for name, reason in sorted(REFUSED.items())]
    )


def registry_options() -> str:
    """What ``setup`` takes."""
    told = attributes(setup)
    rows = [(_code("use"), "", told["use"])]
    rows += [
        (_code(field.name), _shown(field.default), told[field.name])
        for field in dataclasses.fields(RegistryOptions)
    ]
    return table(("option", "default", "meaning"), rows)


def handler_options() -> str:
    """What ``registry.handler`` takes."""
    return _parameters(ASGIApp.__init__, ASGIApp, ("self", "registry"))


def serve_options() -> str:
    """What ``registry.serve`` takes beside that."""
    return _parameters(serve, serve, ("registry", "options"))


def lambda_options() -> str:
    """What ``aws_lambda`` takes."""
    return _parameters(aws_lambda, aws_lambda, ("registry",))


def gateway_limits() -> str:
    """The fields of ``Limits``."""
    return _fields(Limits)


def capabilities() -> str:
    """What the shipped stores declare."""
    return _fields(base.Capabilities)


def _bytes(count: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


def fixed_limits() -> str:
    """Limits that no option changes."""
    from rivetless import keys
    from rivetless.actor import cadence, cron
    from rivetless.gateway import management, metadata
    from rivetless.hosts import announcement, listener, local
    from rivetless.hosts.aws_lambda import http
    from rivetless.runtime import claim, dead, outbox, outgoings, schedules, waking

    rows: list[tuple[str, str, str]] = [
        ("one part of a key", _bytes(keys.MAX_PART_BYTES), "`actor.key_too_large`"),
        ("a key, serialised", _bytes(keys.MAX_KEY_BYTES), "`actor.key_too_large`"),
        (
            "name of an actor, an action, an event, a namespace",
            f"{keys.MAX_NAME_CHARS} characters",
            "`DefinitionError` or `actor.invalid_request`",
        ),
        (
            "input, through the management API",
            _bytes(targets.MAX_INPUT_BYTES),
            "`actor.input_too_large`",
        ),
        (
            "input, in a URL (what clients send with a call)",
            _bytes(targets.MAX_URL_INPUT_BYTES),
            "`actor.input_too_large`",
        ),
        (
            "connection parameters",
            _bytes(headers.MAX_CONN_PARAMS_BYTES),
            "`actor.invalid_request`",
        ),
        ("depth of a value", f"{values.MAX_DEPTH} lists and dicts", "`actor.invalid_request`"),
        ("digits of an integer", str(values.MAX_DIGITS), "`actor.invalid_request`"),
        (
            "`Idempotency-Key`",
            f"{headers.MAX_IDEMPOTENCY_KEY} characters",
            "`actor.invalid_request`",
        ),
        (
            "name of a recurring job",
            _bytes(cron.MOST_NAME_BYTES),
            "`schedule.invalid_name`",
        ),
        (
            "interval of a recurring job",
            f"{cadence.SHORTEST_INTERVAL:g} s at least",
            "`schedule.invalid_interval`",
        ),
        (
            "history of a recurring job",
            f"{cron.MOST_HISTORY} runs",
            "`schedule.invalid_max_history`",
        ),
        ("attempts at a scheduled action", str(schedules.MOST_ATTEMPTS), "a dead letter"),
        ("dead letters of an actor", str(dead.MOST_LETTERS), "the oldest make room"),
        ("wakes of an actor's own making in a row", str(waking.MAX_HOPS), "left to the sweeper"),
        (
            "messages of actors to each other, because of such messages, in a row",
            f"{round(waking.MAX_HOPS / outbox.SEND)}",
            "left to the sweeper",
        ),
        (
            "how long a message to another actor is tried",
            f"{outgoings.GIVEN_UP_AFTER / 3600:g} h",
            "a dead letter",
        ),
        ("how long an answer is kept for a key", f"{replies.KEPT / 3600:g} h", ""),
        (
            "answer that has room in the head",
            f"{replies.SMALL} bytes, {base.RECENT_REPLIES} of them",
            "none: others are records",
        ),
        ("actors one call may pass through", str(job.MAX_CHAIN), "`actor.deadlock`"),
        (
            "time a conflicting turn goes on, beyond its own",
            f"{runtime.PATIENCE:g} s",
            "`actor.conflict`",
        ),
        ("length of a lease, renewed at half", f"{leases.LENGTH:g} s", ""),
        ("claim to an actor's `run`, renewed at half", f"{claim.LENGTH:g} s", ""),
        ("commit ids that a head remembers", str(base.RECENT_COMMITS), "`actor.outcome_unknown`"),
        (
            "ids in one management request",
            str(management._MAX_IDS),
            "`validation.too_many_actor_ids`",
        ),
        ("actors in one page of a list", str(management._MAX_LIMIT), ""),
        ("body of `/start`", _bytes(metadata._MAX_START), "`message.incoming_too_long`"),
        ("frame that `registry.serve` takes", _bytes(local._MAX_FRAME), "the socket closes"),
        (
            "frame that the Python client takes",
            _bytes(network.MAX_FRAME_BYTES),
            "the socket closes",
        ),
        (
            "answer of a Lambda function; behind a load balancer",
            f"{_bytes(http.MAX_ANSWER)}; {_bytes(http.MAX_ANSWER_ALB)}",
            "`message.outgoing_too_long`",
        ),
        (
            "time of a request behind API Gateway",
            f"{http.API_GATEWAY_WAITS:g} s",
            "`actor.outcome_unknown`",
        ),
        ("batch of pushes between processes", _bytes(listener.MAX_BATCH_BYTES), ""),
        (
            "heartbeat of a process; silence that means death",
            f"{announcement.HEARTBEAT:g} s; {announcement.LIFETIME:g} s",
            "",
        ),
        (
            "pause before a client reconnects",
            f"{connection.FIRST_PAUSE:g} to {connection.LONGEST_PAUSE:g} s",
            "",
        ),
    ]
    return table(("what", "limit", "beyond it"), rows)


def _commands() -> Mapping[str, argparse.ArgumentParser]:
    found: Any = next(action.choices for action in make_parser()._actions if action.choices)
    return cast("Mapping[str, argparse.ArgumentParser]", found)


def commands() -> list[str]:
    """Return the commands of the command line."""
    return sorted(_commands())


def arguments_of(command: str) -> list[argparse.Action]:
    """Return what a command of the command line takes."""
    actions: list[argparse.Action] = _commands()[command]._actions
    return [a for a in actions if a.help != argparse.SUPPRESS and a.dest != "help"]


def cli_for(command: str) -> str:
    """Return the table of a command's arguments."""
    rows: list[tuple[str, str]] = []
    for action in arguments_of(command):
        name = ", ".join(action.option_strings) or action.dest.upper()
        if action.option_strings and action.nargs != 0:
            name += f" {action.metavar or '|'.join(action.choices or ()) or action.dest.upper()}"
        rows.append((_code(name), (action.help or "").replace("%%", "%")))
    return table(("argument", "meaning"), rows)


def cli_dev() -> str:
    """The command line of ``rivetless dev``."""
    return cli_for("dev")


def cli_deploy() -> str:
    """The command line of ``rivetless deploy``."""
    return cli_for("deploy")


def cli_openapi() -> str:
    """The command line of ``rivetless openapi``."""
    return cli_for("openapi")


def retry_policy() -> str:
    """How often the Python client tries."""
    return _fields(retry.RetryPolicy)


# -- AWS -----------------------------------------------------------------------------------------


def deploy_parameters() -> str:
    """The parameters of template.yaml."""
    rows = [
        (
            _code(name),
            _code(told["Default"]) if told["Default"] != "" else "none",
            " ".join(told["Description"].split()),
        )
        for name, told in template.read()["Parameters"].items()
    ]
    return table(("parameter", "default", "meaning"), rows)


def deploy_alarms() -> str:
    """The alarms of template.yaml."""
    alarms = template.resources("AWS::CloudWatch::Alarm")
    rows = [
        (_code(name), alarm["Properties"]["AlarmDescription"]) for name, alarm in alarms.items()
    ]
    return table(("alarm", "what it tells"), rows)


def _dollars(amount: float) -> str:
    return f"${amount:.3f}"


def costs_ways() -> str:
    """What a million of each way to call an action costs, by service."""
    functions = costs.Functions()
    rows: list[tuple[str, str, str]] = []
    for way, work in costs.WAYS.items():
        parts = costs.cost(work, functions)
        told = " + ".join(f"{name} {_dollars(part)}" for name, part in parts.items())
        rows.append((way, f"**{_dollars(costs.total(parts))}**", told))
    return table(("a million of", "costs", "that is"), rows)


def costs_units() -> str:
    """What each way to call an action uses."""
    rows = [
        (
            way,
            *(f"{getattr(work, name):g}" for name in ("write_units", "read_units", "milliseconds")),
        )
        for way, work in costs.WAYS.items()
    ]
    return table(("way", "write units", "read units", "milliseconds of Lambda"), rows)


def costs_prices() -> str:
    """The prices that costs are computed with."""
    told = attributes(costs.Work)
    rows = [
        (_code(unit), f"${price:g}", told[unit].rstrip(".")) for unit, price in costs.PRICES.items()
    ]
    return table(("a million of", "price", "unit"), rows)


def costs_idle() -> str:
    """What is paid whether or not anything happens."""
    functions = costs.Functions()
    parts = costs.cost(costs.IDLE_MONTH, functions, times=1)
    rows = [(name, _dollars(part)) for name, part in parts.items()]
    rows.append(("**together**", f"**{_dollars(costs.total(parts))}**"))
    warm = costs.kept_warm(functions, 1)
    rows.append(("each environment of `ProvisionedConcurrency`", _dollars(warm)))
    return table(("a month of nothing", "costs"), rows)


def costs_memory() -> str:
    """What Lambda's part of a warm change is, by memory and duration."""
    durations = (5, 10, 15, 25, 50)
    rows = [
        [
            f"{memory} MB",
            *(
                _dollars(costs.total(costs.cost(work, costs.Functions(memory=memory))))
                for work in (
                    dataclasses.replace(costs.WARM_WRITE, milliseconds=duration)
                    for duration in durations
                )
            ),
        ]
        for memory in (256, 512, 1024, 1769)
    ]
    return table(("memory", *(f"{duration} ms" for duration in durations)), rows)


def coverage_results() -> str:
    """Return what the tests covered when that was last measured."""
    return table(("package", "branches taken", "lines run", "commit", "on"), covering.rows())


def soak_results() -> str:
    """What the last long run of each section saw."""
    return table(("section", "what was seen", "commit", "on", "time"), soak.rows())


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        capabilities,
        class_options,
        class_options_refused,
        cli_deploy,
        cli_dev,
        cli_openapi,
        costs_idle,
        costs_memory,
        costs_prices,
        costs_units,
        costs_ways,
        deploy_alarms,
        deploy_parameters,
        error_groups,
        errors_known,
        errors_of_the_client,
        errors_raised,
        fixed_limits,
        gateway_limits,
        handler_options,
        lambda_options,
        registry_options,
        retry_policy,
        serve_options,
        coverage_results,
        soak_results,
    )
}


def filled(page: str) -> str:
    """Return a page with its tables made anew.

    Raises:
        KeyError: there is no such table.
    """

    def fill(match: re.Match[str]) -> str:
        return f"{match['begin']}\n{TABLES[match['name']]()}\n\n{match['end']}"

    return _REGION.sub(fill, page)


def kept() -> Iterator[tuple[Path, Callable[[str], str]]]:
    """Yield every file that is made in part, with what makes it anew."""
    for page in pages():
        yield page, filled
    yield template.TEMPLATE, template.assembled


def pages() -> list[Path]:
    """Return the documentation's pages."""
    return sorted(DOCS.rglob("*.md"))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables, or tell which pages are out of date."""
    parser = argparse.ArgumentParser(prog="scripts/reference")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    stale = 0
    for path, made in kept():
        before = path.read_text(encoding="utf-8")
        after = made(before)
        if after == before:
            continue
        stale += 1
        sys.stdout.write(f"{path.relative_to(ROOT)}: {'out of date' if check else 'written'}\n")
        if not check:
            path.write_text(after, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
