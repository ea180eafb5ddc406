"""Values that the charts are tried with."""

from support.charts import SUBCHARTS, UMBRELLA, Values

_TAINTED = [{"key": "dedicated", "operator": "Exists"}]
_CUSTOM = {
    "resources": [
        {"name": "example.com/null", "devices": [{"path": "/dev/null"}]},
        {"name": "example.com/token", "devices": [{"path": "/opt/tokens/*", "type": "file"}]},
    ]
}
_PROGRAMMED = {
    "programming": [
        {
            "name": "example.com/compress",
            "interface": "69528db6eb31577a8c3668f9faa081f6",
            "afu": "d8424dc4a4a3c413f89e433683f9040b",
            "bitstream": "/srv/intel.com/fpga/compress.gbs",
            "sha256": "e3" * 32,
        }
    ]
}
_ALL_FEATURES = {
    "cluster": {"events": True, "condition": True, "removeTaint": "devices.example.com/missing"},
    "labels": {"enabled": True},
    "metrics": {"perDevice": True, "pods": True},
    "offers": [{"resource": "example.com/null", "inject": "cdi", "replicas": 4}],
}
SECTIONS: dict[str, Values] = {
    "custom": _CUSTOM,
    "intel_fpga": _PROGRAMMED,
    "nvidia_gpu": {"migStrategy": "mixed"},
    "sriov_net": {"pools": [{"name": "example.com/vf", "selectors": [{"vendors": ["8086"]}]}]},
}


def everything(chart: str) -> Values:
    """Return values with each option of an agent's chart on."""
    backend = chart.replace("-", "_")
    section = {"backends": {backend: SECTIONS[backend]}} if backend in SECTIONS else {}
    return {
        "enabled": True,
        "config": {**_ALL_FEATURES, **section},
        "image": {"registry": "images.example.com", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": _TAINTED,
        "hostPaths": [{"path": "/opt/tokens", "propagation": "HostToContainer"}],
        "runtimeClassName": "devices",
        "podLabels": {"team": "hardware"},
        "podAnnotations": {"note": "yes"},
        "seLinuxType": "container_device_plugin_t",
        "serviceAccount": {"annotations": {"note": "yes"}},
        "openshift": {"scc": True},
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        "nodeFeatureDiscovery": {
            "rule": True,
            "affinity": True,
            "matchFeatures": [
                {"feature": "pci.device", "matchExpressions": {"vendor": {"op": "Exists"}}}
            ],
        },
        "test": {"resources": [{"resource": "example.com/null", "paths": ["/dev/null"]}]},
    }


_FOREIGN = {
    "lamps": {
        "image": {"repository": "example/lamps"},
        "privileges": [
            {
                "feature": "seeing lamps",
                "mounts": [{"path": "/dev", "readOnly": True}],
                "capabilities": ["NET_ADMIN"],
                "rights": [{"resource": "events", "verbs": ["list"]}],
            }
        ],
    }
}
_UMBRELLA_ON: Values = {
    **{name: everything(name) for name in SUBCHARTS},
    "foreign": _FOREIGN,
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True},
}
THREE_POOLS: Values = {
    "global": {
        "nodePools": {
            "a100": {
                "nodeSelector": {"pool": "a100"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "backends": ["nvidia_gpu", "sriov_net"],
                "config": {"cluster": {"events": True}},
            },
            "cards": {"nodeSelector": {"pool": "cards"}, "backends": ["intel_fpga", "lamps"]},
            "edge": {
                "nodeSelector": {"pool": "edge"},
                "backends": ["custom"],
                "resources": {"limits": {"cpu": "50m", "memory": "96Mi"}},
            },
        }
    },
    "foreign": _FOREIGN,
    "custom": {
        "config": {"backends": {"custom": _CUSTOM}},
        "hostPaths": [{"path": "/opt/tokens"}],
    },
}
COMBINED: Values = {
    "global": {
        "imageRegistry": "images.example.com",
        "nodePools": {
            "edge": {
                "nodeSelector": {"pool": "edge"},
                "backends": ["custom", "intel_fpga", "nvidia_gpu", "sriov_net"],
                "agent": "combined",
                "config": {"labels": {"enabled": True}},
            }
        },
    },
    "custom": {
        "config": {"backends": {"custom": _CUSTOM}, "offers": _ALL_FEATURES["offers"]},
        "hostPaths": [{"path": "/opt/tokens"}],
    },
    "intel-fpga": {"config": {"backends": {"intel_fpga": _PROGRAMMED}}},
    "nvidia-gpu": {"runtimeClassName": "nvidia"},
}
SCENARIOS: dict[str, tuple[str, Values]] = {
    **{f"{name} alone": (name, {}) for name in SUBCHARTS},
    **{f"{name} with everything on": (name, everything(name)) for name in SUBCHARTS},
    "umbrella with defaults": (UMBRELLA, {}),
    "umbrella with everything on": (UMBRELLA, _UMBRELLA_ON),
    "three pools": (UMBRELLA, THREE_POOLS),
    "combined": (UMBRELLA, COMBINED),
}
