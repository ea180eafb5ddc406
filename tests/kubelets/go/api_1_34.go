//go:build kubernetes_1_34

package main

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager"
)

const endedPodsAreFound = true

func addHintProvider(topology topologymanager.Manager, devices *devicemanager.ManagerImpl) {
	topology.AddHintProvider(devices)
}

func startDeviceManager(
	devices *devicemanager.ManagerImpl, active devicemanager.ActivePodsFunc, sources config.SourcesReady,
	containers containermap.ContainerMap, running sets.Set[string],
) error {
	return devices.Start(active, sources, containers, running)
}

func runOptions(
	_ context.Context, devices *devicemanager.ManagerImpl, pod *v1.Pod, container *v1.Container,
) (*devicemanager.DeviceRunContainerOptions, error) {
	return devices.GetDeviceRunContainerOptions(pod, container)
}

func stopDeviceManager(devices *devicemanager.ManagerImpl) error { return devices.Stop() }

func runPluginManager(manager pluginmanager.PluginManager, sources config.SourcesReady) {
	manager.Run(sources, make(chan struct{}))
}
