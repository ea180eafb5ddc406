#!/usr/bin/env bash
# Run: the plugin manager and the device manager of k8s.io/kubernetes v1.35.4, and of v1.36.3 beside
# it, each in a mount namespace of its own.
#
# Seen: a device plugin waits in the plugin registry to be found. Its GetInfo answers, its
# GetDevicePluginOptions fails once with "unavailable" and would succeed ever after. 1.35.4 tells it
# that the registration failed and has not come back to that socket after six seconds; the same
# plugin on a socket of another name is registered at once. 1.36.3 tells it the same, tries again,
# and has it registered by then.
#
# Surprising: both versions have growing pauses between attempts. By its source 1.35.4 keeps them for
# what fails before the plugin is handed to its handler; from there on it counts as registered,
# although it is told that it is not. So it is never tried again, however long one waits.
#
# Hits: plugins that show their socket before they are ready to serve, or that are slow for a moment
# at the start of a node. They wait to be called, as the protocol wants it, and the node has no
# devices until they show another socket or the kubelet restarts.
#
# Known as kubernetes/kubernetes issue 133725, there for storage plugins.
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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	registry "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager"
)

const (
	name   = "example.com/a"
	folder = "/var/lib/kubelet/plugins_registry"
)

// plugin waits to be found; only its first GetDevicePluginOptions fails.
type plugin struct {
	api.UnimplementedDevicePluginServer
	registry.UnimplementedRegistrationServer
	mutex sync.Mutex
	calls []string
	asked atomic.Int32
}

func (p *plugin) listen(socket string) {
	listener, err := net.Listen("unix", folder+"/"+socket)
	must(err)
	server := grpc.NewServer()
	registry.RegisterRegistrationServer(server, p)
	api.RegisterDevicePluginServer(server, p)
	go server.Serve(listener)
}

func (p *plugin) note(call string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.calls = append(p.calls, call)
}

// take returns the calls since the last time.
func (p *plugin) take() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	taken := strings.Join(p.calls, ", ")
	p.calls = nil
	return taken
}

func (p *plugin) GetInfo(context.Context, *registry.InfoRequest) (*registry.PluginInfo, error) {
	p.note("info")
	return &registry.PluginInfo{Type: registry.DevicePlugin, Name: name, SupportedVersions: []string{api.Version}}, nil
}

func (p *plugin) NotifyRegistrationStatus(_ context.Context, told *registry.RegistrationStatus) (*registry.RegistrationStatusResponse, error) {
	if told.PluginRegistered {
		p.note("told registered")
	} else {
		p.note("told failed")
	}
	return &registry.RegistrationStatusResponse{}, nil
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	p.note("options")
	if p.asked.Add(1) == 1 {
		return nil, status.Error(codes.Unavailable, "not ready yet")
	}
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	list := &api.ListAndWatchResponse{Devices: []*api.Device{{ID: "0", Health: api.Healthy}}}
	if err := stream.Send(list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Println("cannot be tried:", err)
		os.Exit(2)
	}
}

func main() {
	klog.SetLogger(logr.Discard())
	must(os.MkdirAll(folder, 0o755))
	ready := config.NewSourcesReady(func(sets.Set[string]) bool { return true })
	topology, err := topologymanager.NewManager(nil, topologymanager.PolicyNone, "container", nil)
	must(err)
	devices, err := devicemanager.NewManagerImpl(nil, topology)
	must(err)
	nobody := func() []*v1.Pod { return nil }
	must(devices.Start(klog.Background(), nobody, ready, containermap.NewContainerMap(), sets.New[string]()))

	p := &plugin{}
	p.listen("a.sock")
	manager := pluginmanager.NewPluginManager(folder, &record.FakeRecorder{})
	manager.AddHandler(registry.DevicePlugin, devices.GetWatcherHandler())
	go manager.Run(context.Background(), ready, make(chan struct{}))

	allocatable := func() int64 {
		_, found, _ := devices.GetCapacity()
		quantity := found[v1.ResourceName(name)]
		return quantity.Value()
	}
	time.Sleep(6 * time.Second)
	fmt.Printf("6 s: %s; %d allocatable\n", p.take(), allocatable())
	if allocatable() == 0 {
		p.listen("b.sock")
		time.Sleep(3 * time.Second)
		fmt.Printf("another socket: %s; %d allocatable\n", p.take(), allocatable())
	}
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

try 1.35.4 '6 s: info, options, told failed; 0 allocatable
another socket: info, options, told registered; 1 allocatable'
try 1.36.3 '6 s: info, options, told failed, info, options, told registered; 1 allocatable'
exit $failed
