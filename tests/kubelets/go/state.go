package main

import (
	"context"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	podresourcesapi "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
)

// state is what can be seen of the kubelet at a moment.
type state struct {
	// What the status of the node says of each extended resource.
	Node capacities `json:"node"`
	// The ids listed, with their healths as the plugin sent them.
	Listed map[string]map[string]listed `json:"listed"`
	// The ids that the kubelet takes for given out.
	InUse map[string][]string `json:"inUse"`
	// What each container of a known pod has, by pod, container and resource.
	Pods map[types.UID]map[string]map[string][]string `json:"pods"`
}

type listed struct {
	Health string `json:"health"`
	// Whether the plugin sent a topology, and its nodes.
	Topology bool    `json:"topology"`
	Nodes    []int64 `json:"nodes"`
}

type capacity struct {
	Capacity, Allocatable int64
}

type capacities map[string]capacity

func (n *node) state() any {
	n.mutex.Lock()
	devices, known := n.devices, make([]*v1.Pod, 0, len(n.known))
	for _, p := range n.known {
		known = append(known, p)
	}
	n.mutex.Unlock()
	if devices == nil {
		return nil
	}
	if err := n.setStatus(context.Background(), n.object); err != nil {
		panic(err)
	}
	now := state{Node: capacitiesOf(n.object)}
	now.Listed, now.InUse = tablesOf(devices)
	now.Pods = map[types.UID]map[string]map[string][]string{}
	for _, p := range known {
		if found := devicesOf(devices, p); len(found) > 0 {
			now.Pods[p.UID] = found
		}
	}
	return now
}

func devicesOf(devices *devicemanager.ManagerImpl, p *v1.Pod) map[string]map[string][]string {
	found := map[string]map[string][]string{}
	for _, containers := range [][]v1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, container := range containers {
			for name, instances := range devices.GetDevices(string(p.UID), container.Name) {
				if found[container.Name] == nil {
					found[container.Name] = map[string][]string{}
				}
				for id := range instances {
					found[container.Name][name] = append(found[container.Name][name], id)
				}
			}
		}
	}
	return found
}

// podStatus returns the health of a pod's devices, by container, resource and id (R69).
func (n *node) podStatus(uid types.UID) any {
	p := n.known[uid]
	status := &v1.PodStatus{}
	for _, container := range p.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, v1.ContainerStatus{Name: container.Name})
	}
	updateStatus(n.devices, p, status)
	found := map[string]map[string]map[string]string{}
	for _, container := range status.ContainerStatuses {
		found[container.Name] = map[string]map[string]string{}
		for _, entry := range container.AllocatedResourcesStatus {
			healths := map[string]string{}
			for _, device := range entry.Resources {
				healths[string(device.ResourceID)] = string(device.Health)
			}
			found[container.Name][string(entry.Name)] = healths
		}
	}
	return found
}

func capacitiesOf(object *v1.Node) capacities {
	found := capacities{}
	for name, quantity := range object.Status.Capacity {
		if strings.Contains(string(name), "/") {
			allocatable := object.Status.Allocatable[name]
			found[string(name)] = capacity{quantity.Value(), allocatable.Value()}
		}
	}
	return found
}

// into gives the node's object the figures that an earlier kubelet left.
func (c capacities) into(object *v1.Node) {
	object.Status.Capacity, object.Status.Allocatable = v1.ResourceList{}, v1.ResourceList{}
	for name, figures := range c {
		object.Status.Capacity[v1.ResourceName(name)] = *resource.NewQuantity(figures.Capacity, resource.DecimalSI)
		object.Status.Allocatable[v1.ResourceName(name)] = *resource.NewQuantity(figures.Allocatable, resource.DecimalSI)
	}
}

// zero does what a kubelet does to a node that was made anew (kubelet_node_status.go,
// updateDefaultExtendedResources): the extended resources it once had are gone.
func zero(object *v1.Node) {
	none := *resource.NewQuantity(0, resource.DecimalSI)
	for name := range capacitiesOf(object) {
		object.Status.Capacity[v1.ResourceName(name)] = none
		object.Status.Allocatable[v1.ResourceName(name)] = none
	}
}

// containerDevices gives devices the form of the pod resources service, as the container manager
// does (pkg/kubelet/cm/container_manager.go): one entry for each device and NUMA node (R87).
func containerDevices(resources devicemanager.ResourceDeviceInstances) []*podresourcesapi.ContainerDevices {
	var entries []*podresourcesapi.ContainerDevices
	for name, instances := range resources {
		for id, device := range instances {
			entry := podresourcesapi.ContainerDevices{ResourceName: name, DeviceIds: []string{id}}
			if device.GetTopology() == nil {
				entries = append(entries, &entry)
			}
			for _, numa := range device.GetTopology().GetNodes() {
				on := &podresourcesapi.TopologyInfo{Nodes: []*podresourcesapi.NUMANode{{ID: numa.GetID()}}}
				entries = append(entries, &podresourcesapi.ContainerDevices{
					ResourceName: name, DeviceIds: []string{id}, Topology: on,
				})
			}
		}
	}
	return entries
}
