"""What NVIDIA's plugin calls resources and sharing, as offers."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import check_resource_name
from nodeplug_nvidia_gpu.naming import GPU_RESOURCE, is_profile, is_uuid, mig_resource

_POLICIES: Final = {"distributed": "spread", "packed": "packed"}
_FLAGS: Final = ("renameByDefault", "failRequestsGreaterThanOne")
# What an offer may say (nodeplug.offers).
_REPLICAS_LIMIT: Final = 100_000
_TERM_LIMIT: Final = 255
_PASSED_OVER: Final = "takes effect here; that plugin passes over it"
# What all rules of one name must say alike.
_OF_ALL: Final = ("policy", "failRequestsGreaterThanOne")

Keys = dict[str, Any]


class Offers:
    """Collects offers from one file; what cannot be is told in `refused`.

    `notes` are what has an effect that it has not with that plugin.
    """

    def __init__(self, refused: list[str], policy: object) -> None:
        self.notes: list[str] = []
        self._whole: set[str] = set()
        self._refused = refused
        self._renamed: dict[str, Keys] = {}
        self._shared: list[Keys] = []
        self._policy = _POLICIES.get(str(policy), "spread")
        if str(policy) not in _POLICIES:
            place = "flags.plugin.sharedDevicesAllocationPolicy"
            refused.append(f"{place}: {policy!a} is neither distributed nor packed")

    def entries(self) -> list[Keys]:
        """Return all offers: shared devices first, then renamed, then GPUs as they are."""
        plain = [*self._renamed.values()]
        names = {entry["resource"] for entry in plain if not entry.get("devices")}
        rest = [] if GPU_RESOURCE in names else [{"resource": GPU_RESOURCE}]
        # What is left of a resource of which a part is shared has one policy with that part.
        same = {_public_name(each): _for_all(each) for each in self._shared}
        own = [
            {**each, "policy": "aligned", **same.get(_public_name(each), {})}
            for each in (*plain, *rest)
        ]
        return [*self._shared, *own]

    def resources(self, section: object) -> None:
        """Take over which model or profile gets which name."""
        for kind in self._known("resources", section, {"gpus", "mig"}):
            for place, entry in self._entries("resources", section, kind):
                self._known(place, entry, {"pattern", "name"})
                try:
                    self._rename(kind, entry)
                    self.notes.append(f"{place}: {_PASSED_OVER}")
                except ValueError as error:
                    self._refused.append(f"{place}.{error}")

    def sharing(self, section: object) -> None:
        """Take over what is shared; nothing where a key is unknown that may have limited it."""
        found = self._known("sharing", section, {"mps", "timeSlicing"})
        if "mps" in found:
            self._refused.append("sharing.mps: is not served; share by timeSlicing")
        if "timeSlicing" not in found:
            return
        where = "sharing.timeSlicing"
        slicing = self._known(where, found["timeSlicing"], {*_FLAGS, "resources"})
        wrong = [key for key in _FLAGS if not isinstance(slicing.get(key, False), bool)]
        self._refused += (f"{where}.{key}: {slicing[key]!a} is no boolean" for key in wrong)
        if wrong or _unknown(found["timeSlicing"], {*_FLAGS, "resources"}):
            return
        if not slicing.get("resources"):
            self._refused.append(f"{where}.resources: is missing; nothing is shared")
        for place, entry in self._entries(where, slicing, "resources"):
            known = {"name", "rename", "devices", "replicas"}
            self._known(place, entry, known)
            if _unknown(entry, known):
                continue
            try:
                self._shared += self._share(slicing, entry)
                keys = [key for key in ("devices", "rename") if entry.get(key, "all") != "all"]
                self.notes += (f"{place}.{key}: {_PASSED_OVER}" for key in keys)
            except ValueError as error:
                self._refused.append(f"{place}.{error}")

    def _known(self, place: str, values: object, keys: Collection[str]) -> Keys:
        """Return the known keys of a map that are not null; refuse the others."""
        if values is not None and not isinstance(values, Mapping):
            self._refused.append(f"{place}: {values!a} is no map")
        given: Keys = dict(values) if isinstance(values, Mapping) else {}
        self._refused += (f"{place}.{key}: is not a known key" for key in _unknown(given, keys))
        return {key: given[key] for key in given if key in keys and given[key] is not None}

    def _entries(
        self, place: str, section: object, key: str
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the maps of a list with their places; one alone is as good as a list."""
        found = section.get(key) if isinstance(section, Mapping) else None
        entries = found if isinstance(found, list) else [] if found is None else [found]
        for number, each in enumerate(entries):
            yield f"{place}.{key}[{number}]", each if isinstance(each, Mapping) else {}

    def _rename(self, kind: str, entry: Mapping[str, Any]) -> None:
        pattern, name = entry.get("pattern"), _name(entry.get("name"))
        if not isinstance(pattern, str) or not pattern:
            raise ValueError("pattern: is missing, or no text")
        if kind == "gpus":
            offer: Keys = {"resource": GPU_RESOURCE}
            if pattern.strip("*"):
                offer["devices"] = {"model": _anywhere(pattern)}
        elif is_profile(pattern):
            offer = {"resource": mig_resource(pattern)}
        else:
            raise ValueError(f"pattern: {pattern!a} is no MIG profile, and must be one")
        if name != offer["resource"] or "devices" in offer:
            before = self._renamed.get(name, offer)
            if before["resource"] != offer["resource"]:
                raise ValueError(f"name: {name} is that of {before['resource']}, too")
            self._renamed[name] = {**_either(before, offer), "rename": name}

    def _share(self, slicing: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[Keys]:
        """Yield an offer for each way in which the entry's devices are told."""
        name, replicas = _name(entry.get("name")), entry.get("replicas")
        if not isinstance(replicas, int) or replicas < 2:  # noqa: PLR2004 - one is not shared
            raise ValueError(f"replicas: {replicas!a} must be 2 or more")
        if replicas > _REPLICAS_LIMIT:
            raise ValueError(f"replicas: {replicas} must be at most {_REPLICAS_LIMIT}")
        offer = {**self._renamed.get(name, {"resource": name}), "replicas": replicas}
        if name in self._whole:
            raise ValueError(f"name: all of {name} is shared already")
        if entry.get("rename"):
            offer["rename"] = _name(entry["rename"])
        elif slicing.get("renameByDefault"):
            offer["markShared"] = True
        if slicing.get("failRequestsGreaterThanOne"):
            offer["failRequestsGreaterThanOne"] = True
        offer["policy"] = self._policy
        for devices in _devices(entry.get("devices", "all"), name):
            self._whole |= set() if devices else {name}
            both = {**offer.get("devices", {}), **devices}
            yield {**offer, **({"devices": both} if both else {})}


def _unknown(values: object, keys: Collection[str]) -> list[str]:
    return [str(key) for key in values if key not in keys] if isinstance(values, Mapping) else []


def _either(one: Keys, other: Keys) -> Keys:
    """Return an offer for the models of two."""
    if one is other:
        return one
    if "devices" not in one or "devices" not in other:
        return {"resource": one["resource"]}
    found = one["devices"]["model"]
    models = [*([found] if isinstance(found, str) else found), other["devices"]["model"]]
    return {**one, "devices": {"model": models}}


def _anywhere(pattern: str) -> str:
    """Return what matches a name in which the pattern occurs; nothing but `*` is special in it."""
    plain = pattern.strip("*").replace("[", "[[]").replace("?", "[?]")
    if len(plain) > _TERM_LIMIT - 2:
        raise ValueError(f"pattern: {pattern[:20]!a}... is longer than any name of a GPU")
    return f"*{plain}*"


def _public_name(offer: Keys) -> str:
    name = str(offer.get("rename") or offer["resource"])
    return f"{name}.shared" if offer.get("markShared") else name


def _for_all(offer: Keys) -> Keys:
    return {key: offer[key] for key in _OF_ALL if key in offer}


def _name(name: object) -> str:
    """Return a resource's name, with NVIDIA's domain where it has none."""
    if not isinstance(name, str) or not name:
        raise ValueError("name: is missing")
    try:
        return check_resource_name(name if "/" in name else f"nvidia.com/{name}")
    except InvalidValueError as error:
        raise ValueError(f"name: {error}") from error


def _devices(devices: object, name: str) -> list[Keys]:
    """Return the selectors for "all", for a count, or for a list of indices and ids."""
    if devices == "all":
        return [{}]
    if isinstance(devices, int) and not isinstance(devices, bool):
        if devices < 1 or ".com/mig-" in name:
            raise ValueError(f"devices: a count, {devices}, must be of GPUs and 1 or more")
        return [{"index": f"<{devices}"}]
    if not isinstance(devices, list) or not devices:
        raise ValueError(f"devices: {devices!a} is neither all, a count nor a list")
    texts = [str(each) for each in devices]
    ids = [text for text in texts if is_uuid(text)]
    indices = [text for text in texts if text.replace(":", "", 1).isdigit()]
    unknown = {*texts} - {*ids, *indices}
    if unknown:
        raise ValueError(f"devices: {min(unknown)!a} is neither an index nor an id")
    return [{key: found} for key, found in (("nvmlIndex", indices), ("uuid", ids)) if found]
