"""Names and keys that Kubernetes takes, and some that it does not."""

from support.charts import Values

_LONG = ".".join(["a" * 60] * 4)
GOOD_KEYS = ("x", "example.com/x", "a-b.c/A_b.C-d", f"a/{'x' * 63}", f"{_LONG}/x")
BAD_KEYS = (
    "a b",
    "/x",
    "x/",
    "a/b/c",
    "-x",
    "x.",
    "example_com/x",
    "a..b/x",
    "x=y",
    "x" * 64,
    "example.com/x:NoSchedule",
)
# Only of annotations is the domain read in lower case.
UPPER_CASE = "Example.com/x"
GOOD_RESOURCES = ("example.com/x", "a/B_c.d-e", f"a/{'x' * 63}")
BAD_RESOURCES = (
    "x",
    "/x",
    "a/",
    "a/b/c",
    "Example.com/x",
    "a_b/x",
    "a/-x",
    "a/x y",
    f"a/{'x' * 64}",
    "a.kubernetes.io/x",
    "requests.a/x",
)


def with_taint(key: str) -> Values:
    return {"cluster": {"removeTaint": key}}


def with_annotation(key: str) -> Values:
    return {"cluster": {"quarantineAnnotation": key}}


def with_resource(name: str) -> Values:
    return {
        "backends": {"custom": {"resources": [{"name": name, "devices": [{"path": "/dev/x"}]}]}}
    }


def with_offer(name: str) -> Values:
    return {"offers": [{"resource": name}]}


def with_rename(name: str) -> Values:
    return {"offers": [{"resource": "example.com/x", "rename": name}]}


def on_some_nodes(config: Values) -> Values:
    return {"nodes": [{"names": ["a"], "config": config}]}
