//go:build kubernetes_1_34 || kubernetes_1_35 || kubernetes_1_36

package main

import (
	cadvisorapi "github.com/google/cadvisor/info/v1"
	v1 "k8s.io/api/core/v1"
	podresourcesapi "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/kubernetes/pkg/kubelet/apis/podresources"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"k8s.io/kubernetes/pkg/kubelet/nodestatus"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager/cache"
)

func topologyOf(ids []int) []cadvisorapi.Node {
	var nodes []cadvisorapi.Node
	for _, id := range ids {
		nodes = append(nodes, cadvisorapi.Node{Id: id})
	}
	return nodes
}

func newTopologyManager(ids []int, policy string) (topologymanager.Manager, error) {
	return topologymanager.NewManager(topologyOf(ids), policy, topologyScope, nil)
}

func newDeviceManager(ids []int, topology topologymanager.Manager) (*devicemanager.ManagerImpl, error) {
	return devicemanager.NewManagerImpl(topologyOf(ids), topology)
}

// A resize is admitted like a new pod.
func admitPod(topology topologymanager.Manager, pod *v1.Pod, _ bool) lifecycle.PodAdmitResult {
	return topology.Admit(&lifecycle.PodAdmitAttributes{Pod: pod})
}

func updateStatus(devices *devicemanager.ManagerImpl, pod *v1.Pod, status *v1.PodStatus) {
	devices.UpdateAllocatedResourcesStatus(pod, status)
}

func collect(devices *devicemanager.ManagerImpl) { devices.UpdateAllocatedDevices() }

func deregister(handler cache.PluginHandler, name, endpoint string) {
	handler.DeRegisterPlugin(name, endpoint)
}

func newStatusSetter(devices *devicemanager.ManagerImpl) nodestatus.Setter {
	return nodestatus.MachineInfo(
		"node", 110, 0,
		func() (*cadvisorapi.MachineInfo, error) { return &cadvisorapi.MachineInfo{}, nil },
		func(bool) v1.ResourceList { return nil },
		devices.GetCapacity,
		func() v1.ResourceList { return nil },
		func(string, string, string) {},
		false,
	)
}

func providers(n *node) podresources.PodResourcesProviders {
	return podresources.PodResourcesProviders{
		Pods: n, Devices: deviceProvider{n.devices}, Cpus: nothing{}, Memory: nothing{}, DynamicResources: nothing{},
	}
}

type deviceProvider struct{ devices *devicemanager.ManagerImpl }

func (p deviceProvider) UpdateAllocatedDevices() { p.devices.UpdateAllocatedDevices() }

func (p deviceProvider) GetDevices(uid, container string) []*podresourcesapi.ContainerDevices {
	return containerDevices(p.devices.GetDevices(uid, container))
}

func (p deviceProvider) GetAllocatableDevices() []*podresourcesapi.ContainerDevices {
	return containerDevices(p.devices.GetAllocatableDevices())
}

// nothing has no CPUs, no memory and no claims.
type nothing struct{}

func (nothing) GetCPUs(string, string) []int64                              { return nil }
func (nothing) GetAllocatableCPUs() []int64                                 { return nil }
func (nothing) GetMemory(string, string) []*podresourcesapi.ContainerMemory { return nil }
func (nothing) GetAllocatableMemory() []*podresourcesapi.ContainerMemory    { return nil }
func (nothing) GetDynamicResources(*v1.Pod, *v1.Container) []*podresourcesapi.DynamicResource {
	return nil
}
