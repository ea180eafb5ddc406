"""What is not as it should be, for whoever asks."""

import msgspec


class Trouble(msgspec.Struct, frozen=True):
    """Something wrong at this moment, on one of two levels.

    Where it `blocks`, the kubelet could not use the agent or a part of it, which is *not ready*;
    otherwise the agent is *degraded*. `kind` is its name in Events and metrics, in CamelCase.
    `shown` may be read by anybody and holds no value of the configuration; `detail` is for the log
    and the doctor, where there is more to tell. `subject` is what the doctor names it by.
    """

    kind: str
    shown: str
    detail: str = ""
    subject: str = ""
    blocks: bool = False
