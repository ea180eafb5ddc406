package main

import (
	"reflect"
	"sync"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
)

// What no method of the device manager tells or sets: the ids listed as unhealthy, the ids that it
// takes for given out, and how long ago a plugin was lost. All are reached under its own mutex.

func tablesOf(devices *devicemanager.ManagerImpl) (map[string]map[string]listed, map[string][]string) {
	defer locked(devices).Unlock()
	inUse := map[string][]string{}
	for name, ids := range *field[map[string]sets.Set[string]](reflect.ValueOf(devices).Elem(), "allocatedDevices") {
		inUse[name] = sets.List(ids)
	}
	all := field[devicemanager.ResourceDeviceInstances](reflect.ValueOf(devices).Elem(), "allDevices")
	found := map[string]map[string]listed{}
	for name, instances := range *all {
		found[name] = map[string]listed{}
		for id, device := range instances {
			nodes := []int64{}
			for _, numa := range device.GetTopology().GetNodes() {
				nodes = append(nodes, numa.GetID())
			}
			found[name][id] = listed{device.GetHealth(), device.GetTopology() != nil, nodes}
		}
	}
	return found, inUse
}

// ageEndpoints lets so many seconds more have gone by since plugins were lost: the grace period is
// a constant of five minutes (R28).
func ageEndpoints(devices *devicemanager.ManagerImpl, seconds int) {
	defer locked(devices).Unlock()
	endpoints := reflect.ValueOf(devices).Elem().FieldByName("endpoints").MapRange()
	for endpoints.Next() {
		endpoint := endpoints.Value().FieldByName("e").Elem().Elem()
		mutex := field[sync.Mutex](endpoint, "mutex")
		mutex.Lock()
		if stop := field[time.Time](endpoint, "stopTime"); !stop.IsZero() {
			*stop = stop.Add(-time.Duration(seconds) * time.Second)
		}
		mutex.Unlock()
	}
}

func locked(devices *devicemanager.ManagerImpl) *sync.Mutex {
	mutex := field[sync.Mutex](reflect.ValueOf(devices).Elem(), "mutex")
	mutex.Lock()
	return mutex
}

func field[T any](of reflect.Value, name string) *T {
	return (*T)(unsafe.Pointer(of.FieldByName(name).UnsafeAddr()))
}
