//go:build kubernetes_1_35 || kubernetes_1_36

package main

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager"
)

const endedPodsAreFound = false

func addHintProvider(topology topologymanager.Manager, devices *devicemanager.ManagerImpl) {
	topology.AddHintProvider(klog.Background(), devices)
}

func startDeviceManager(
	devices *devicemanager.ManagerImpl, active devicemanager.ActivePodsFunc, sources config.SourcesReady,
	containers containermap.ContainerMap, running sets.Set[string],
) error {
	return devices.Start(klog.Background(), active, sources, containers, running)
}

func runOptions(
	ctx context.Context, devices *devicemanager.ManagerImpl, pod *v1.Pod, container *v1.Container,
) (*devicemanager.DeviceRunContainerOptions, error) {
	return devices.GetDeviceRunContainerOptions(ctx, pod, container)
}

func stopDeviceManager(devices *devicemanager.ManagerImpl) error {
	return devices.Stop(klog.Background())
}

func runPluginManager(manager pluginmanager.PluginManager, sources config.SourcesReady) {
	manager.Run(context.Background(), sources, make(chan struct{}))
}
