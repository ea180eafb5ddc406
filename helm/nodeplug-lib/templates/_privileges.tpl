{{/* Made by `make charts` from what core and backends say of themselves. */}}

{{- define "nodeplug.privileges" -}}
{
 "core": [
  {
   "feature": "serving devices",
   "setting": "",
   "mounts": [
    {
     "path": "/var/lib/kubelet/device-plugins",
     "readOnly": false,
     "propagation": false,
     "key": "kubelet.devicePluginDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "being found by the kubelet",
   "setting": "kubelet.registration=watcher",
   "mounts": [
    {
     "path": "/var/lib/kubelet/plugins_registry",
     "readOnly": false,
     "propagation": false,
     "key": "kubelet.pluginRegistryDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "knowing what is in use",
   "setting": "",
   "mounts": [
    {
     "path": "/var/lib/kubelet/pod-resources",
     "readOnly": true,
     "propagation": false,
     "key": "kubelet.podResourcesSocket",
     "parent": true
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "knowing of pods that were deleted by force",
   "setting": "",
   "mounts": [
    {
     "path": "/sys/fs/cgroup",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "giving nothing twice",
   "setting": "",
   "mounts": [
    {
     "path": "/run/nodeplug",
     "readOnly": false,
     "propagation": false,
     "key": "host.ledgerDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "injection through CDI",
   "setting": "offers[].inject=cdi*",
   "mounts": [
    {
     "path": "/var/run/cdi",
     "readOnly": false,
     "propagation": false,
     "key": "cdi.specDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "node labels",
   "setting": "labels.enabled=true",
   "mounts": [
    {
     "path": "/etc/kubernetes/node-feature-discovery/features.d",
     "readOnly": false,
     "propagation": false,
     "key": "labels.featureDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "Kubernetes Events",
   "setting": "cluster.events=true",
   "mounts": [],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": [
    {
     "resource": "events",
     "verbs": [
      "create",
      "patch"
     ],
     "namespace": "default"
    }
   ]
  },
  {
   "feature": "node condition",
   "setting": "cluster.condition=true",
   "mounts": [],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": [
    {
     "resource": "nodes/status",
     "verbs": [
      "patch"
     ],
     "namespace": ""
    }
   ]
  },
  {
   "feature": "removal of a start-up taint",
   "setting": "cluster.removeTaint=KEY",
   "mounts": [],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": [
    {
     "resource": "nodes",
     "verbs": [
      "get",
      "patch"
     ],
     "namespace": ""
    }
   ]
  },
  {
   "feature": "quarantine by an annotation",
   "setting": "cluster.quarantineAnnotation=KEY",
   "mounts": [],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": [
    {
     "resource": "nodes",
     "verbs": [
      "get",
      "list",
      "watch"
     ],
     "namespace": ""
    }
   ]
  }
 ],
 "custom": [
  {
   "feature": "finding devices",
   "setting": "",
   "mounts": [
    {
     "path": "/dev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "udev's tags of hardware",
   "setting": "resources[].hardware[].udev.tags",
   "mounts": [
    {
     "path": "/run/udev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "udev's properties of hardware",
   "setting": "resources[].hardware[].udev.properties",
   "mounts": [
    {
     "path": "/run/udev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "udev's tags of its members",
   "setting": "resources[].hardware[].members[].udev.tags",
   "mounts": [
    {
     "path": "/run/udev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "udev's properties of its members",
   "setting": "resources[].hardware[].members[].udev.properties",
   "mounts": [
    {
     "path": "/run/udev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "opening a device to see whether it works",
   "setting": "resources[].hardware[].health.open=true",
   "mounts": [],
   "capabilities": [],
   "privileged": true,
   "hostNetwork": false,
   "rights": []
  }
 ],
 "intel_fpga": [
  {
   "feature": "finding cards",
   "setting": "",
   "mounts": [
    {
     "path": "/sys",
     "readOnly": true,
     "propagation": false
    },
    {
     "path": "/dev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "programming",
   "setting": "programming[]",
   "mounts": [
    {
     "path": "/dev",
     "readOnly": false,
     "propagation": false
    },
    {
     "path": "/srv/intel.com/fpga",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": true,
   "hostNetwork": false,
   "rights": []
  }
 ],
 "nvidia_gpu": [
  {
   "feature": "MIG slices of one profile",
   "setting": "migStrategy=single",
   "mounts": [],
   "capabilities": [
    "SYS_ADMIN"
   ],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "MIG slices of several profiles",
   "setting": "migStrategy=mixed",
   "mounts": [],
   "capabilities": [
    "SYS_ADMIN"
   ],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "device nodes for containers",
   "setting": "passDeviceSpecs=true",
   "mounts": [
    {
     "path": "/dev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "CDI names",
   "setting": "deviceListStrategy[]=cdi-*",
   "mounts": [
    {
     "path": "/etc/cdi",
     "readOnly": true,
     "propagation": false
    },
    {
     "path": "/var/run/cdi",
     "readOnly": false,
     "propagation": false,
     "key": "cdi.specDir"
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  },
  {
   "feature": "drivers and GPUs that come while the agent runs",
   "setting": "containerDriverRoot=PATH",
   "mounts": [
    {
     "path": "/run/nvidia/driver",
     "readOnly": true,
     "propagation": true
    },
    {
     "path": "/dev",
     "readOnly": true,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": true,
   "hostNetwork": false,
   "rights": []
  }
 ],
 "sriov_net": [
  {
   "feature": "functions, links and routes",
   "setting": "",
   "mounts": [],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": true,
   "rights": []
  },
  {
   "feature": "device-info files",
   "setting": "",
   "mounts": [
    {
     "path": "/var/run/k8s.cni.cncf.io/devinfo/dp",
     "readOnly": false,
     "propagation": false
    }
   ],
   "capabilities": [],
   "privileged": false,
   "hostNetwork": false,
   "rights": []
  }
 ]
}
{{- end -}}

{{- define "nodeplug.ports" -}}
{
 "custom": 9844,
 "intel_fpga": 9842,
 "nvidia_gpu": 9841,
 "sriov_net": 9843
}
{{- end -}}
