"""Schemathesis against the served OpenAPI document, as one caller: every answer must be one that the document tells.

Generated calls alone rarely get past the first check of ids, so most are changed before they are sent: they are given
ids of things that exist, filters in the query language, and bodies that differ little from ones that work.

The run must not saw off what it sits on. Of each kind the first thing in `SEALIFT_FIXTURES` is kept: a call that ends
things (all deletions, and `ENDINGS`) and names it gets an id that nothing has. The same holds for the callers' own
roles and tokens in all calls that change something below /Security. Nothing else is excluded but the files of the
reference page, which are no operations of ours.
"""

import collections
import json
import os
import random
import sys

import schemathesis
from schemathesis.cli import schemathesis as program

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
]

FIXTURES = json.loads(os.environ["SEALIFT_FIXTURES"])
# Bodies that work, by operation.
EXAMPLES = FIXTURES["examples"]
# Ids of what the callers are, and of the first thing of each kind.
CALLERS = {str(one) for one in FIXTURES["callers"]}
KEPT = {str(FIXTURES[kind][0]) for kind in ("agent", "certificate", "collection", "container", "store")}
# Operations that end things beside those that delete.
ENDINGS = ("/Disapprove", "/Revoke", "/RevokeAll", "/Reset")
# An id that nothing has, and a filter that finds nothing.
NOTHING = 999_999_999
NONE_OF_THEM = f"Id -eq {NOTHING}"

# What the members of bodies and the parameters of queries name, by their lower-case names.
MEANINGS = {
    "agent": ["agentid", "agentids", "orchestratorids", "orchestratorid"],
    "alias": ["alias"],
    "certificate": [
        "certificateid", "certificateids", "certid", "existingcertificateid", "renewalcertificateid", "ids",
    ],
    "collection": ["collectionid", "copyfromid"],
    "container": ["containerid", "certstorecontainerid"],
    "job": ["jobid", "jobids"],
    "permission": ["permissions"],
    "role": ["roles", "rolename"],
    "role_id": ["roleid", "roleids", "ownerroleid"],
    "schedule": ["schedule", "inventoryschedule"],
    "store": ["certificatestoreid", "certificatestores", "storeid", "storeids", "keystoreids", "certstoreid"],
    "store_type": ["certstoretype", "storetypeid"],
    "subject": ["subject"],
    "template": ["templateid", "enrollmentpatternid"],
    "template_name": ["template"],
    "thumbprint": ["thumbprint"],
    "request": ["requestid"],
    "metadata_field_id": ["metadatafieldid"],
    "claim": ["claimid"],
    "permission_set": ["permissionsetid"],
}
MEANING = {name: meaning for meaning, names in MEANINGS.items() for name in names}
# What the parameters of paths name, by the beginning of the path.
THINGS = [
    ("/AgentBluePrint/", "blueprint"),
    ("/Agents/", "agent"),
    ("/Applications/", "container"),
    ("/CertificateCollections/", "collection"),
    ("/CertificateStoreContainers/", "container"),
    ("/CertificateStoreTypes/Name/", "store_type_name"),
    ("/CertificateStoreTypes/", "store_type"),
    ("/CertificateStores/Server/", "server"),
    ("/CertificateStores/", "store"),
    ("/Certificates/", "certificate"),
    ("/Enrollment/AvailableRenewal/Id/", "certificate"),
    ("/Enrollment/AvailableRenewal/Thumbprint/", "thumbprint"),
    ("/Enrollment/Settings/", "template"),
    ("/EnrollmentPatterns/", "template"),
    ("/IdentityProviders/", "provider"),
    ("/JobTypes/Custom/", "custom_type"),
    ("/MetadataFields/", "metadata_field_id"),
    ("/OrchestratorJobs/", "job"),
    ("/PermissionSets/", "permission_set"),
    ("/Security/Claims/", "claim"),
    ("/Security/Containers/", "container"),
    ("/Security/Identities/", "claim"),
    ("/Security/Roles/", "role_id"),
    ("/Templates/", "template"),
    ("/Workflow/Certificates/", "request"),
    ("/Workflow/Instances/", "instance"),
]
# The operands of filters: of every type, and odd ones.
OPERANDS = [
    "0", "1", "-1", "2", "true", '"false"', "NULL", '"NULL"', "%TODAY%", '"%TODAY-30%"', "%ME%", '""', '"a"', '"%"', '"_"',
    '"\\\\"', '"\'"', '"2026-05-04"', '"2026-05-04T09:30:00Z"', '"9999-12-31T23:59:59Z"', '"0001-01-01"', "99999999999999999999",
    "9223372036854775807", "-9223372036854775808", "2147483648", "1e308", "NaN", '"\u0000"', '"\ud7ff"', '"\U0001f512"',
    '"00000000-0000-0000-0000-000000000000"', '"ffffffff-ffff-ffff-ffff-ffffffffffff"', "%TODAY-99999999999%", "%TODAY%%",
]
OPERATORS = [
    "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-contains", "-notcontains", "-startswith", "-endswith", "-EQ", "-none",
]

# Values that bodies get in place of one that works.
ODD = [
    None, "", [], {}, [None], [[]], [{}], 0, -1, 1.0, 1.5, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 1e308, True, "true", "1", "x",
    "\u0000", "a\u0000b", "\r\n", "\U0001f512", "\u202e", "\ufeff", "%00", "../..", "a" * 300, "a" * 70_000, "2026-13-45",
    "2026-05-04T09:30:00", "0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "00000000-0000-0000-0000-000000000000",
    {"SecretValue": "\u0000"}, {"Immediate": True, "Interval": {"Minutes": 5}}, {"Interval": {"Minutes": 2**31 - 1}},
    {"ExactlyOnce": {"Time": "9999-12-31T23:59:59Z"}}, {"Daily": {"Time": "0001-01-01T00:00:00Z"}},
    {"Monthly": {"Day": 31, "Time": "2026-02-28T00:00:00Z"}}, {"Weekly": {"Days": [], "Time": "2026-02-28T00:00:00Z"}},
    {"\u0000": "\u0000"}, ["\u0000"], [1] * 2000,
]

statuses = collections.Counter()
succeeded = set()
tried = set()


def chance(case):
    """Decisions about a case that follow from what was generated for it, and so from the seed."""
    return random.Random(repr((case.operation.label, case.path_parameters, case.query, case.body)))


def one_of(meaning, draw):
    return draw.choice(FIXTURES[meaning]) if FIXTURES.get(meaning) else None


def meant(value, draw, name=""):
    """The value with things that exist in three of four places that name one."""
    meaning = MEANING.get(name.lower())
    if isinstance(value, dict) and meaning != "schedule":
        return {name: meant(one, draw, name) for name, one in value.items()}
    if isinstance(value, list):
        if meaning and meaning != "store" and draw.random() < 0.75:
            return [one_of(meaning, draw) for _ in range(draw.randint(1, 3))]
        return [meant(one, draw, name) for one in value]
    if meaning and draw.random() < 0.75:
        known = one_of(meaning, draw)
        return value if known is None else known
    return value


def altered(value, generated, draw, name=""):
    """A body that works, with some of its members generated, odd, or left out, and with names that are free."""
    if isinstance(value, dict):
        kept = {name: altered(one, {}, draw, name) for name, one in value.items() if draw.random() > 0.03}
        for name in generated if isinstance(generated, dict) else []:
            if draw.random() < 0.1:
                kept[name] = generated[name]
        return kept
    if draw.random() < 0.07:
        return draw.choice(ODD)
    if isinstance(value, list):
        return [altered(one, {}, draw, name) for one in value]
    if name == "Name" and isinstance(value, str):
        return f"{value} {draw.getrandbits(32):x}"
    return value


def expression(fields, draw):
    """A filter, nearly always well formed."""
    term = f"{draw.choice(fields)} {draw.choice(OPERATORS)} {draw.choice(OPERANDS)}"
    if draw.random() < 0.3:
        return f"({term}) {draw.choice(['AND', 'OR', 'and', 'XOR'])} {expression(fields, draw)}"
    return term


def ask(case, draw):
    """Gives the query of a list a filter and an order, by the fields that the document names."""
    for parameter in case.operation.definition.raw.get("parameters", []):
        if parameter.get("name") == "QueryString" and "Fields: " in parameter.get("description", ""):
            fields = parameter["description"].split("Fields: ")[1].rstrip(".").split(", ")
            if isinstance(case.query, dict) and draw.random() < 0.6:
                case.query["QueryString"] = expression(fields, draw)
            if isinstance(case.query, dict) and draw.random() < 0.4:
                case.query["SortField"] = draw.choice(fields)


def spared(value, ids):
    """The value with an id that nothing has in place of these, and with filters that find nothing."""
    if isinstance(value, dict):
        return {name: NONE_OF_THEM if name.lower() == "query" else spared(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [spared(one, ids) for one in value]
    return NOTHING if str(value) in ids else value


def enrich(case, draw):
    """Gives a generated call what exists and what works."""
    path = case.operation.path + "/"
    thing = next((thing for start, thing in THINGS if path.startswith(start)), None)
    if isinstance(case.body, (dict, list)):
        works = EXAMPLES.get(case.operation.label)
        if works is not None and draw.random() < 0.6:
            case.body = altered(works, case.body, draw)
        else:
            case.body = meant(case.body, draw, MEANINGS[thing][0] if thing in MEANINGS else "")
    known = one_of(thing, draw) if thing else None
    if known is not None and isinstance(case.path_parameters, dict) and "{" in path:
        first = path.split("{")[1].split("}")[0]
        if first in case.path_parameters:
            case.path_parameters[first] = known
    ask(case, draw)


def advance(case, draw):
    """Lets a step of a chain succeed more often, so that there is something to follow; ids stay as they were linked."""
    if isinstance(case.query, dict) and draw.random() < 0.7:
        case.query.clear()
    works = EXAMPLES.get(case.operation.label)
    if works is not None and isinstance(case.body, (dict, list)) and draw.random() < 0.5:
        case.body = altered(works, case.body, draw)


@schemathesis.hook
def before_call(context, case, kwargs):
    draw = chance(case)
    tried.add(case.operation.label)
    phase = case.meta.phase.name.value if case.meta is not None else ""
    if phase == "examples" and isinstance(case.body, (dict, list)):
        # The document's own has words where these have ids.
        case.body = EXAMPLES.get(case.operation.label, case.body)
    elif phase == "stateful":
        advance(case, draw)
    elif draw.random() < 0.6:
        enrich(case, draw)
    ids = set()
    if case.method.upper() == "DELETE" or case.operation.path.endswith(ENDINGS):
        ids |= KEPT
    if case.operation.path.startswith("/Security") and case.method.upper() != "GET":
        ids |= CALLERS
    if ids:
        if isinstance(case.body, (dict, list)):
            case.body = spared(case.body, ids)
        elif isinstance(case.body, str) and case.operation.path.endswith("/Query"):
            case.body = NONE_OF_THEM
        if isinstance(case.path_parameters, dict):
            case.path_parameters = spared(case.path_parameters, ids)


@schemathesis.hook
def after_call(context, case, response):
    statuses[response.status_code] += 1
    if response.status_code < 300:
        succeeded.add(case.operation.label)


def main():
    caller, seed = os.environ["SEALIFT_CALLER"], os.environ["SEALIFT_SEED"]
    report = os.environ["SEALIFT_REPORT"]
    arguments = [
        "run", os.environ["SEALIFT_URL"] + "/openapi.json",
        "--tls-verify", os.environ["SEALIFT_CA_FILE"],
        "--checks", ",".join(CHECKS),
        "--phases", os.environ["SEALIFT_PHASES"],
        "--max-examples", os.environ["SEALIFT_EXAMPLES"],
        "--seed", seed,
        "--exclude-path-regex", "^/reference",
        "--generation-database", "none",
        "--generation-allow-x00", "true",
        "--suppress-health-check", "all",
        "--request-timeout", "30",
        "--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off",
        "--report-json-path", report,
    ]
    if "SEALIFT_AUTHORIZATION" in os.environ:
        arguments += ["--header", "Authorization: " + os.environ["SEALIFT_AUTHORIZATION"]]
    try:
        program.main(arguments, prog_name="schemathesis", standalone_mode=False)
        failed = 0
    except SystemExit as ended:
        failed = ended.code
    never = ", ".join(sorted(tried - succeeded))
    text = f"{caller}: seed {seed}, answers {dict(sorted(statuses.items()))}"
    print(text if "coverage" not in os.environ["SEALIFT_PHASES"] else f"{text}; never succeeded: {never or 'none'}")
    with open(report + ".statuses", "w", encoding="utf-8") as file:
        json.dump({str(status): count for status, count in statuses.items()}, file)
    sys.exit(failed)


if __name__ == "__main__":
    main()
