//go:build kubernetes_1_37

package main

import (
	"context"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	podresourcesapi "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/kubernetes/pkg/kubelet/apis/podresources"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"k8s.io/kubernetes/pkg/kubelet/nodestatus"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager/cache"
)

const endedPodsAreFound = false

func topologyOf(ids []int) []cadvisorapi.Node {
	var nodes []cadvisorapi.Node
	for _, id := range ids {
		nodes = append(nodes, cadvisorapi.Node{Id: id})
	}
	return nodes
}

func newTopologyManager(ids []int, policy string) (topologymanager.Manager, error) {
	return topologymanager.NewManager(klog.Background(), topologyOf(ids), policy, topologyScope, nil)
}

func newDeviceManager(ids []int, topology topologymanager.Manager) (*devicemanager.ManagerImpl, error) {
	return devicemanager.NewManagerImpl(klog.Background(), topologyOf(ids), topology)
}

func addHintProvider(topology topologymanager.Manager, devices *devicemanager.ManagerImpl) {
	topology.AddHintProvider(klog.Background(), devices)
}

func startDeviceManager(
	devices *devicemanager.ManagerImpl, active devicemanager.ActivePodsFunc, sources config.SourcesReady,
	containers containermap.ContainerMap, running sets.Set[string],
) error {
	return devices.Start(klog.Background(), active, sources, containers, running)
}

func admitPod(topology topologymanager.Manager, pod *v1.Pod, resize bool) lifecycle.PodAdmitResult {
	attributes := &lifecycle.PodAdmitAttributes{Pod: pod, Operation: lifecycle.AddOperation}
	if resize {
		attributes.Operation = lifecycle.ResizeOperation
	}
	return topology.Admit(context.Background(), attributes)
}

func runOptions(
	ctx context.Context, devices *devicemanager.ManagerImpl, pod *v1.Pod, container *v1.Container,
) (*devicemanager.DeviceRunContainerOptions, error) {
	return devices.GetDeviceRunContainerOptions(ctx, pod, container)
}

func updateStatus(devices *devicemanager.ManagerImpl, pod *v1.Pod, status *v1.PodStatus) {
	devices.UpdateAllocatedResourcesStatus(klog.Background(), pod, status)
}

func collect(devices *devicemanager.ManagerImpl) { devices.UpdateAllocatedDevices(klog.Background()) }

func deregister(handler cache.PluginHandler, name, endpoint string) {
	handler.DeRegisterPlugin(context.Background(), name, endpoint)
}

func stopDeviceManager(devices *devicemanager.ManagerImpl) error {
	return devices.Stop(klog.Background())
}

func runPluginManager(manager pluginmanager.PluginManager, sources config.SourcesReady) {
	manager.Run(context.Background(), sources, make(chan struct{}))
}

func newStatusSetter(devices *devicemanager.ManagerImpl) nodestatus.Setter {
	return nodestatus.MachineInfo(
		"node", 110, 0,
		func() (*cadvisorapi.MachineInfo, error) { return &cadvisorapi.MachineInfo{}, nil },
		func(klog.Logger, bool) v1.ResourceList { return nil },
		devices.GetCapacity,
		func() v1.ResourceList { return nil },
		func(string, string, string) {},
		func() *bool { return nil },
		false,
	)
}

func providers(n *node) podresources.PodResourcesProviders {
	return podresources.PodResourcesProviders{
		Pods: n, Devices: deviceProvider{n.devices}, Cpus: nothing{}, Memory: nothing{}, DynamicResources: nothing{},
	}
}

type deviceProvider struct{ devices *devicemanager.ManagerImpl }

func (p deviceProvider) UpdateAllocatedDevices(logger klog.Logger) {
	p.devices.UpdateAllocatedDevices(logger)
}

func (p deviceProvider) GetDevices(uid, container string) []*podresourcesapi.ContainerDevices {
	return containerDevices(p.devices.GetDevices(uid, container))
}

func (p deviceProvider) GetAllocatableDevices(logger klog.Logger) []*podresourcesapi.ContainerDevices {
	return containerDevices(p.devices.GetAllocatableDevices(logger))
}

// nothing has no CPUs, no memory and no claims.
type nothing struct{}

func (nothing) GetCPUs(*v1.Pod, *v1.Container) []int64 { return nil }
func (nothing) GetPodCPUs(string) []int64              { return nil }
func (nothing) GetAllocatableCPUs() []int64            { return nil }
func (nothing) GetMemory(klog.Logger, *v1.Pod, *v1.Container) []*podresourcesapi.ContainerMemory {
	return nil
}
func (nothing) GetPodMemory(klog.Logger, string) []*podresourcesapi.ContainerMemory { return nil }
func (nothing) GetAllocatableMemory(klog.Logger) []*podresourcesapi.ContainerMemory { return nil }
func (nothing) GetDynamicResources(klog.Logger, *v1.Pod, *v1.Container) []*podresourcesapi.DynamicResource {
	return nil
}
