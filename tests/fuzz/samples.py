"""Input that is right, for readers to be fed with what is nearly so."""

from typing import Any

CONFIGURATION: dict[str, Any] = {
    "kubelet": {"devicePluginDir": "/var/lib/kubelet/device-plugins"},
    "host": {"root": "/", "uevents": "kernel"},
    "log": {"level": "info", "format": "json"},
    "metrics": {"port": 9000, "perDevice": True},
    "offers": [
        {
            "resource": "nvidia.com/gpu",
            "devices": {"model": "A100*", "memory": ">=40"},
            "rename": "nvidia.com/big",
            "replicas": 2,
            "policy": "packed",
            "splitBy": "model",
            "inject": "cdi",
        }
    ],
    "quarantine": [{"devices": {"id": "dev:a"}, "reason": "smells"}],
    "nodes": [{"names": ["a*"], "labels": {"b": "c"}, "config": {"log": {"level": "debug"}}}],
    "backends": {
        "custom": {
            "resources": [
                {
                    "name": "example.com/camera",
                    "devices": [{"path": "/dev/video*", "containerPath": "/dev/{name}"}],
                    "env": {"CAMERA": "{hostPath}"},
                    "mounts": [{"hostPath": "/opt/{name}"}],
                }
            ]
        },
        "nvidia_gpu": {},
        "intel_fpga": {},
        "sriov_net": {},
    },
}
PEERS: dict[str, Any] = {
    "sriov_net": {
        "resourceList": [
            {
                "resourceName": "intel_sriov_netdevice",
                "resourcePrefix": "intel.com",
                "deviceType": "netDevice",
                "selectors": [
                    {
                        "vendors": ["8086"],
                        "devices": ["154c", "10ed"],
                        "drivers": ["i40evf"],
                        "pfNames": ["enp0s0f0#0-3,5"],
                        "rootDevices": ["0000:86:00.0"],
                        "linkTypes": ["ether"],
                        "isRdma": False,
                    }
                ],
            },
            {
                "resourceName": "accelerator",
                "deviceType": "accelerator",
                "selectors": {"vendors": ["8086"], "acpiIndexes": ["101"]},
            },
        ]
    },
    "nvidia_gpu": {
        "version": "v1",
        "flags": {
            "migStrategy": "mixed",
            "failOnInitError": True,
            "plugin": {"passDeviceSpecs": False, "deviceListStrategy": "envvar"},
        },
        "sharing": {
            "timeSlicing": {
                "renameByDefault": True,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4, "devices": ["0", "1"]}],
            }
        },
    },
    "custom": [
        {"name": "fuse", "groups": [{"count": 10, "paths": [{"path": "/dev/fuse"}]}]},
        {"devicematch": "^snd$", "nummaxdevices": 20},
    ],
}
CDI: dict[str, Any] = {
    "cdiVersion": "0.6.0",
    "kind": "vendor.com/gpu",
    "devices": [
        {
            "name": "0",
            "containerEdits": {
                "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/vendor/gpu0"}],
                "env": ["GPU=0"],
            },
        }
    ],
    "containerEdits": {"deviceNodes": [{"path": "/dev/gpuctl"}]},
}
CHECKPOINT = (
    b'{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c","ResourceName":"a.b/c",'
    b'"DeviceIDs":{"-1":["d0","d1"]},"AllocResp":"EgA="}],"RegisteredDevices":{"a.b/c":["d0"]}},'
    b'"Checksum":12345}'
)
UEVENTS = (
    (
        b"add@/devices/virtual/tty/tty9\0ACTION=add\0DEVPATH=/devices/virtual/tty/tty9\0"
        b"SUBSYSTEM=tty\0MAJOR=4\0MINOR=9\0DEVNAME=tty9\0SEQNUM=4711\0"
    ),
    (
        b"libudev\0\xfe\xed\xca\xfe(\0\0\0(\0\0\0r\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        b"ACTION=add\0DEVPATH=/devices/pci0000:00/0000:00:14.0/usb1\0SUBSYSTEM=usb\0SEQNUM=1\0"
    ),
)
