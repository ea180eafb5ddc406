#!/usr/bin/env bash
# Run: the device manager of k8s.io/kubernetes v1.37.2, in a mount namespace of its own.
#
# Seen: a device plugin that calls Register again for the socket that the kubelet is connected to is
# refused with "device plugin already connected". The refusal also makes the kubelet lose the
# connection that it has from its books, by path. When the stream ends later, nobody draws the
# consequence: the devices stay allocatable, pods are let in and fail at Allocate, and each further
# Register for that path is refused, also one of a plugin that has started anew. Only a new device
# manager, which is a restart of the kubelet, accepts it.
#
# Surprising: a refused call changes what the earlier, accepted one means. Beside it runs a plugin
# that registers once: its devices have gone from allocatable as soon as its stream ends, and the
# same path is accepted again.
#
# Hits: plugins that register at intervals or whenever they are unsure, and those whose first
# Register ran into their own deadline and that try again.
#
# Near it: kubernetes/kubernetes pull request 139338 is about a newcomer on the path of a plugin
# whose stream lives on, and is refused.
set -euo pipefail

kubernetes=1.37.2

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

{
    printf 'module finding\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n\n' "$kubernetes"
    for name in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go \
        cloud-provider cluster-bootstrap code-generator component-base component-helpers \
        controller-manager cri-api cri-client cri-streaming csi-translation-lib \
        dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
        kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
        pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming; do
        echo "replace k8s.io/$name => k8s.io/$name v0.${kubernetes#1.}"
    done
} >go.mod

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

const (
	once  = "example.com/once"
	twice = "example.com/twice"
)

// plugin has two healthy devices and serves them on NAME.sock until it is stopped.
type plugin struct {
	api.UnimplementedDevicePluginServer
	resource string
	server   *grpc.Server
}

func startPlugin(resource string) *plugin {
	p := &plugin{resource: resource, server: grpc.NewServer()}
	path := filepath.Join(api.DevicePluginPath, p.socket())
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	must(err)
	api.RegisterDevicePluginServer(p.server, p)
	go p.server.Serve(listener)
	return p
}

func (p *plugin) socket() string { return filepath.Base(p.resource) + ".sock" }

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	list := &api.ListAndWatchResponse{Devices: []*api.Device{
		{ID: "0", Health: api.Healthy}, {ID: "1", Health: api.Healthy},
	}}
	if err := stream.Send(list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(context.Context, *api.AllocateRequest) (*api.AllocateResponse, error) {
	return &api.AllocateResponse{ContainerResponses: []*api.ContainerAllocateResponse{{}}}, nil
}

// register calls the kubelet's Register and returns what it answers.
func (p *plugin) register() string {
	connection, err := grpc.NewClient("unix:"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: p.socket(), ResourceName: p.resource,
	})
	if err != nil {
		return err.Error()
	}
	return "accepted"
}

// kubelet is a device manager with one pod, which asks for a device of the resource `twice`.
type kubelet struct {
	devices *devicemanager.ManagerImpl
	pod     *v1.Pod
}

func startKubelet() kubelet {
	one := v1.ResourceList{twice: *resource.NewQuantity(1, resource.DecimalSI)}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod", UID: types.UID("1")}}
	pod.Spec.Containers = []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{Limits: one, Requests: one}}}
	topology, err := topologymanager.NewManager(klog.Background(), nil, topologymanager.PolicyNone, "container", nil)
	must(err)
	devices, err := devicemanager.NewManagerImpl(klog.Background(), nil, topology)
	must(err)
	must(devices.Start(
		klog.Background(),
		func() []*v1.Pod { return []*v1.Pod{pod} },
		config.NewSourcesReady(func(sets.Set[string]) bool { return true }),
		containermap.NewContainerMap(),
		sets.New[string](),
	))
	return kubelet{devices, pod}
}

func (k kubelet) allocatable(name string) int64 {
	_, allocatable, _ := k.devices.GetCapacity(klog.Background())
	quantity := allocatable[v1.ResourceName(name)]
	return quantity.Value()
}

// reaches tells whether so many become allocatable within ten seconds.
func (k kubelet) reaches(name string, count int64) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if k.allocatable(name) == count {
			return true
		}
	}
	return false
}

func (k kubelet) allocate() error {
	return k.devices.Allocate(context.Background(), k.pod, &k.pod.Spec.Containers[0], lifecycle.AddOperation)
}

var failed bool

func say(asStated bool, text string, values ...any) {
	if !asStated {
		failed = true
		text = "OTHERWISE: " + text
	}
	fmt.Printf(text+"\n", values...)
}

func must(err error) {
	if err != nil {
		fmt.Println("cannot be tried:", err)
		os.Exit(2)
	}
}

func main() {
	klog.SetLogger(logr.Discard())
	refused := func(answer string) bool { return strings.Contains(answer, "device plugin already connected") }

	node := startKubelet()
	a, b := startPlugin(once), startPlugin(twice)
	for _, p := range []*plugin{a, b} {
		answer := p.register()
		say(answer == "accepted" && node.reaches(p.resource, 2), "%s registers: %s, %d allocatable", p.resource, answer, node.allocatable(p.resource))
	}
	answer := b.register()
	say(refused(answer), "%s registers again: %s", twice, answer)

	a.server.Stop()
	b.server.Stop()
	say(node.reaches(once, 0), "both plugins stop; %s: %d allocatable", once, node.allocatable(once))
	time.Sleep(3 * time.Second)
	say(node.allocatable(twice) == 2, "3 s later %s: still %d allocatable", twice, node.allocatable(twice))
	err := node.allocate()
	say(err != nil, "a pod that asks for one: %v", err)

	a, b = startPlugin(once), startPlugin(twice)
	answer = a.register()
	say(answer == "accepted", "both plugins start anew; %s registers: %s", once, answer)
	for range 3 {
		answer = b.register()
		say(refused(answer), "%s registers: %s", twice, answer)
		time.Sleep(time.Second)
	}

	must(node.devices.Stop(klog.Background()))
	node = startKubelet()
	b.server.Stop()
	b = startPlugin(twice)
	answer = b.register()
	say(answer == "accepted" && node.reaches(twice, 2), "the kubelet restarts; %s registers: %s, %d allocatable", twice, answer, node.allocatable(twice))
	if failed {
		os.Exit(1)
	}
}
GO

export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=mod"
go build -trimpath -o finding .

# The kubelet's paths are fixed, so it gets a /var/lib that nobody else sees.
own=(unshare --mount)
[ "$(id -u)" = 0 ] || own+=(--map-root-user)
echo "Kubernetes $kubernetes"
# shellcheck disable=SC2016
"${own[@]}" sh -c 'mount -t tmpfs none /var/lib && exec "$0"' "$folder/finding"
