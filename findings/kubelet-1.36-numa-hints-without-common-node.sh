#!/usr/bin/env bash
# Run: the Topology Manager and the device manager of k8s.io/kubernetes v1.35.4 and v1.36.3, each in
# a mount namespace of its own.
#
# Seen: policy best-effort, NUMA nodes 0 and 1. A container asks for one device each of three
# resources: the only device of the first is near node 0, the only one of the second near node 1, and
# the third has two devices near each node. No node has all three. 1.35.4 aligns the third with one
# of the others: its plugin is offered the two devices near node 0. 1.36.3 aligns it with none: its
# plugin is offered all four.
#
# Surprising: by its source 1.36 asks only about those NUMA nodes that have devices of a resource when
# it collects where that resource could come from, to save time. The answer "from node 0 and 1, not
# preferred" of a resource that only node 0 has is lost with that. Without it the hints of two such
# resources have no node in common, and all hints are dropped, those of the third resource too.
#
# Hits: nodes with devices of different kinds near different NUMA nodes, say a GPU here and a network
# card there: what could be near one of them is taken from anywhere after an upgrade to 1.36.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/go-logr/logr"
	cadvisor "github.com/google/cadvisor/info/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

// plugin has a healthy device for each entry: its id, and the NUMA node that it is near.
type plugin struct {
	api.UnimplementedDevicePluginServer
	near    map[string]int64
	offered []string
}

func (p *plugin) options() *api.DevicePluginOptions {
	return &api.DevicePluginOptions{GetPreferredAllocationAvailable: true}
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return p.options(), nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	list := &api.ListAndWatchResponse{}
	for id, node := range p.near {
		topology := &api.TopologyInfo{Nodes: []*api.NUMANode{{ID: node}}}
		list.Devices = append(list.Devices, &api.Device{ID: id, Health: api.Healthy, Topology: topology})
	}
	if err := stream.Send(list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) GetPreferredAllocation(_ context.Context, request *api.PreferredAllocationRequest) (*api.PreferredAllocationResponse, error) {
	asked := request.ContainerRequests[0]
	p.offered = append([]string{}, asked.AvailableDeviceIDs...)
	sort.Strings(p.offered)
	preferred := &api.ContainerPreferredAllocationResponse{DeviceIDs: p.offered[:asked.AllocationSize]}
	return &api.PreferredAllocationResponse{ContainerResponses: []*api.ContainerPreferredAllocationResponse{preferred}}, nil
}

func (p *plugin) Allocate(context.Context, *api.AllocateRequest) (*api.AllocateResponse, error) {
	return &api.AllocateResponse{ContainerResponses: []*api.ContainerAllocateResponse{{}}}, nil
}

func (p *plugin) serve(name string) {
	socket := filepath.Base(name) + ".sock"
	listener, err := net.Listen("unix", filepath.Join(api.DevicePluginPath, socket))
	must(err)
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	go server.Serve(listener)
	connection, err := grpc.NewClient("unix:"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: socket, ResourceName: name, Options: p.options(),
	})
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Println("cannot be tried:", err)
		os.Exit(2)
	}
}

func main() {
	klog.SetLogger(logr.Discard())
	nodes := []cadvisor.Node{{Id: 0}, {Id: 1}}
	topology, err := topologymanager.NewManager(nodes, topologymanager.PolicyBestEffort, "container", nil)
	must(err)
	devices, err := devicemanager.NewManagerImpl(nodes, topology)
	must(err)
	topology.AddHintProvider(klog.Background(), devices)
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod", UID: "1"}}
	must(devices.Start(
		klog.Background(),
		func() []*v1.Pod { return []*v1.Pod{pod} },
		config.NewSourcesReady(func(sets.Set[string]) bool { return true }),
		containermap.NewContainerMap(),
		sets.New[string](),
	))

	plugins := map[string]*plugin{
		"example.com/left":  {near: map[string]int64{"left": 0}},
		"example.com/right": {near: map[string]int64{"right": 1}},
		"example.com/both":  {near: map[string]int64{"0a": 0, "0b": 0, "1a": 1, "1b": 1}},
	}
	asked := v1.ResourceList{}
	for name, p := range plugins {
		p.serve(name)
		asked[v1.ResourceName(name)] = *resource.NewQuantity(1, resource.DecimalSI)
	}
	pod.Spec.Containers = []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{Limits: asked, Requests: asked}}}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, allocatable, _ := devices.GetCapacity()
		known := 0
		for name, p := range plugins {
			quantity := allocatable[v1.ResourceName(name)]
			if quantity.Value() == int64(len(p.near)) {
				known++
			}
		}
		if known == len(plugins) {
			break
		}
		if time.Now().After(end) {
			must(fmt.Errorf("only %d of the plugins are known", known))
		}
	}

	result := topology.Admit(&lifecycle.PodAdmitAttributes{Pod: pod})
	fmt.Printf("admitted: %t; offered of both: %v\n", result.Admit, plugins["example.com/both"].offered)
}
GO

export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=mod"

# modules VERSION: go.mod for a version of Kubernetes, with its parts of the same version.
modules() {
    printf 'module finding\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n\n' "$1"
    for name in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go \
        cloud-provider cluster-bootstrap code-generator component-base component-helpers \
        controller-manager cri-api cri-client cri-streaming csi-translation-lib \
        dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
        kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
        pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming; do
        echo "replace k8s.io/$name => k8s.io/$name v0.${1#1.}"
    done
}

# The kubelet's paths are fixed, so it gets a /var/lib that nobody else sees.
own=(unshare --mount)
[ "$(id -u)" = 0 ] || own+=(--map-root-user)

# try VERSION STATED: run it and compare what is seen.
failed=0
try() {
    modules "$1" >go.mod
    rm -f go.sum
    go build -trimpath -o finding .
    echo "Kubernetes $1"
    # shellcheck disable=SC2016
    "${own[@]}" sh -c 'mount -t tmpfs none /var/lib && exec "$0"' "$folder/finding" | tee seen
    [ "$(cat seen)" = "$2" ] || { printf 'OTHERWISE than stated:\n%s\n' "$2"; failed=1; }
}

try 1.35.4 'admitted: true; offered of both: [0a 0b]'
try 1.36.3 'admitted: true; offered of both: [0a 0b 1a 1b]'
exit $failed
