package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/record"
	watcherapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager"
	"k8s.io/kubernetes/pkg/kubelet/pod"
	"k8s.io/kubernetes/pkg/kubelet/server"
)

// The Topology Manager's default scope (kubelet configuration, topologyManagerScope).
const topologyScope = "container"

// command is one line of input. Which fields count depends on Do.
type command struct {
	ID        int       `json:"id"`
	Do        string    `json:"do"`
	Start     start     `json:"start"`
	Pod       podSpec   `json:"pod"`
	UID       types.UID `json:"uid"`
	Container string    `json:"container"`
	Resource  string    `json:"resource"`
	Endpoint  string    `json:"endpoint"`
	Seconds   int       `json:"seconds"`
	Ready     bool      `json:"ready"`
	Resize    bool      `json:"resize"`
}

// start says how the kubelet begins: what it finds running, and whether it knows all its pods.
type start struct {
	Ready          bool           `json:"ready"`
	Running        []runningEntry `json:"running"`
	Policy         string         `json:"policy"`
	NUMANodes      []int          `json:"numaNodes"`
	PodResources   string         `json:"podResources"`
	PluginRegistry string         `json:"pluginRegistry"`
	Node           capacities     `json:"node"`
	// Pods of an earlier kubelet: what they have is told though they are not admitted yet.
	Known []podSpec `json:"known"`
}

// runningEntry is a container that the runtime knows when the kubelet starts.
type runningEntry struct {
	UID       string `json:"uid"`
	Container string `json:"container"`
	Exited    bool   `json:"exited"`
}

type podSpec struct {
	UID        types.UID       `json:"uid"`
	Name       string          `json:"name"`
	Namespace  string          `json:"namespace"`
	Containers []containerSpec `json:"containers"`
	Claimed    []claimed       `json:"claimed"`
}

// claimed is an extended resource of a container that a claim provides (DRA).
type claimed struct {
	Container string `json:"container"`
	Resource  string `json:"resource"`
}

type containerSpec struct {
	Name    string           `json:"name"`
	Init    bool             `json:"init"`
	Sidecar bool             `json:"sidecar"`
	Limits  map[string]int64 `json:"limits"`
}

// admission is what becomes of a pod.
type admission struct {
	Admit   bool   `json:"admit"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// node is one kubelet's node: the managers, and the pods that are bound to it.
type node struct {
	out       *output
	devices   *devicemanager.ManagerImpl
	topology  topologymanager.Manager
	pods      pod.Manager
	ready     bool
	ended     sets.Set[types.UID]
	known     map[types.UID]*v1.Pod
	workers   map[types.UID]context.CancelFunc
	object    *v1.Node
	setStatus func(context.Context, *v1.Node) error
	mutex     sync.Mutex
	admitting sync.Mutex
}

func newNode(out *output) *node {
	return &node{
		out:     out,
		pods:    pod.NewBasicPodManager(),
		ended:   sets.New[types.UID](),
		known:   map[types.UID]*v1.Pod{},
		workers: map[types.UID]context.CancelFunc{},
		object:  &v1.Node{},
	}
}

// handle starts a command. What waits for a plugin answers later; everything else at once.
func (n *node) handle(c command) {
	switch c.Do {
	case "admit", "startContainer":
		go n.answer(c)
	default:
		n.answer(c)
	}
}

func (n *node) answer(c command) {
	answer, err := n.do(c)
	e := event{Event: "answer", ID: c.ID, Answer: answer}
	if err != nil {
		e.Error = err.Error()
	}
	n.out.put(e)
}

func (n *node) do(c command) (any, error) {
	switch c.Do {
	case "state":
	case "start":
		return nil, n.start(c.Start)
	case "stop":
		return nil, stopDeviceManager(n.devices)
	case "admit":
		return n.admit(c.Pod.asPod(), c.Resize), nil
	case "startContainer":
		return n.startContainer(c.UID, c.Container)
	case "podStatus":
		return n.podStatus(c.UID), nil
	case "ready":
		n.setReady(c.Ready)
	case "end":
		n.end(c.UID)
	case "cancel":
		n.cancel(c.UID)
	case "remove":
		n.remove(c.UID)
	case "collect":
		collect(n.devices)
	case "drop":
		deregister(n.devices.GetWatcherHandler(), c.Resource, c.Endpoint)
	case "age":
		ageEndpoints(n.devices, c.Seconds)
	default:
		return nil, fmt.Errorf("unknown command %q", c.Do)
	}
	return nil, nil
}

func (n *node) start(s start) error {
	n.ready = s.Ready
	s.Node.into(n.object)
	for _, spec := range s.Known {
		n.known[spec.UID] = spec.asPod()
	}
	sources := config.NewSourcesReady(func(sets.Set[string]) bool { return n.isReady() })
	containers := containermap.NewContainerMap()
	running := sets.New[string]()
	for i, entry := range s.Running {
		id := fmt.Sprintf("container-%d", i)
		containers.Add(entry.UID, entry.Container, id)
		if !entry.Exited {
			running.Insert(id)
		}
	}
	var err error
	if n.topology, err = newTopologyManager(s.NUMANodes, s.Policy); err != nil {
		return err
	}
	devices, err := newDeviceManager(s.NUMANodes, n.topology)
	if err != nil {
		return err
	}
	addHintProvider(n.topology, devices)
	n.setStatus = newStatusSetter(devices)
	// A kubelet asks this before its device manager has started (R31).
	if devices.ShouldResetExtendedResourceCapacity() {
		zero(n.object)
	}
	if err := startDeviceManager(devices, n.active, sources, containers, running); err != nil {
		return err
	}
	n.mutex.Lock()
	n.devices = devices
	n.mutex.Unlock()
	go n.tellUpdates()
	if s.PluginRegistry != "" {
		manager := pluginmanager.NewPluginManager(s.PluginRegistry, &record.FakeRecorder{})
		manager.AddHandler(watcherapi.DevicePlugin, devices.GetWatcherHandler())
		go runPluginManager(manager, sources)
	}
	if s.PodResources != "" {
		go server.ListenAndServePodResources(context.Background(), s.PodResources, providers(n))
	}
	return nil
}

// tellUpdates passes on which pods a list has made the kubelet look at anew (R70).
func (n *node) tellUpdates() {
	for update := range n.devices.Updates() {
		n.out.put(event{Event: "update", Values: map[string]any{"pods": update.PodUIDs}})
	}
}

// admit asks the admission handler that a kubelet has for devices. A pod is among the active ones
// meanwhile, and is taken out if it is refused, as in the kubelet's own loop; one that cannot be
// resized stays as it is.
func (n *node) admit(p *v1.Pod, resize bool) admission {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	n.mutex.Lock()
	n.known[p.UID] = p
	n.mutex.Unlock()
	n.pods.AddPod(p)
	result := admitPod(n.topology, p, resize)
	if !result.Admit && !resize {
		n.end(p.UID)
	}
	return admission{result.Admit, result.Reason, result.Message}
}

func (n *node) startContainer(uid types.UID, name string) (any, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.mutex.Lock()
	p := n.known[uid]
	n.workers[uid] = cancel
	n.mutex.Unlock()
	if p == nil {
		return nil, fmt.Errorf("unknown pod %s", uid)
	}
	for _, container := range append(append([]v1.Container{}, p.Spec.InitContainers...), p.Spec.Containers...) {
		if container.Name == name {
			return runOptions(ctx, n.devices, p, &container)
		}
	}
	return nil, fmt.Errorf("unknown container %s", name)
}

// cancel interrupts a pod's worker, as the kubelet does when the pod is deleted (pod_workers.go).
func (n *node) cancel(uid types.UID) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if cancel, found := n.workers[uid]; found {
		cancel()
	}
}

// end lets all containers of a pod end: it is still bound to the node, but no longer active.
func (n *node) end(uid types.UID) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.ended.Insert(uid)
}

// remove forgets a pod, whatever its containers do: its object is deleted.
func (n *node) remove(uid types.UID) {
	if p, found := n.pods.GetPodByUID(uid); found {
		n.pods.RemovePod(p)
	}
}

func (n *node) active() []*v1.Pod {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	active := []*v1.Pod{}
	for _, p := range n.pods.GetPods() {
		if !n.ended.Has(p.UID) {
			active = append(active, p)
		}
	}
	sort.Slice(active, func(i, j int) bool { return active[i].Name < active[j].Name })
	return active
}

func (n *node) isReady() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.ready
}

func (n *node) setReady(ready bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.ready = ready
}

// GetActivePods, GetPods and GetPodByName are what the pod resources service asks.
func (n *node) GetActivePods() []*v1.Pod { return n.active() }

// GetPods returns those too that have ended.
func (n *node) GetPods() []*v1.Pod { return n.pods.GetPods() }

// GetPodByName returns a pod that is active; up to 1.34 also one that has ended (kubelet.go,
// kubeletPodsProvider).
func (n *node) GetPodByName(namespace, name string) (*v1.Pod, bool) {
	p, found := n.pods.GetPodByName(namespace, name)
	if !found {
		return nil, false
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return p, endedPodsAreFound || !n.ended.Has(p.UID)
}

func (s podSpec) asPod() *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: s.UID, Name: s.Name, Namespace: s.Namespace}}
	for _, spec := range s.Containers {
		limits := v1.ResourceList{}
		for name, count := range spec.Limits {
			limits[v1.ResourceName(name)] = *resource.NewQuantity(count, resource.DecimalSI)
		}
		container := v1.Container{
			Name:      spec.Name,
			Resources: v1.ResourceRequirements{Limits: limits, Requests: limits},
		}
		if spec.Sidecar {
			always := v1.ContainerRestartPolicyAlways
			container.RestartPolicy = &always
		}
		if spec.Init {
			p.Spec.InitContainers = append(p.Spec.InitContainers, container)
		} else {
			p.Spec.Containers = append(p.Spec.Containers, container)
		}
	}
	for _, c := range s.Claimed {
		if p.Status.ExtendedResourceClaimStatus == nil {
			p.Status.ExtendedResourceClaimStatus = &v1.PodExtendedResourceClaimStatus{}
		}
		claim := p.Status.ExtendedResourceClaimStatus
		claim.RequestMappings = append(claim.RequestMappings, v1.ContainerExtendedResourceRequest{
			ContainerName: c.Container, ResourceName: c.Resource,
		})
	}
	return p
}

// MarshalJSON gives a state's figures as [capacity, allocatable].
func (c capacity) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]int64{c.Capacity, c.Allocatable})
}

// UnmarshalJSON takes the same form.
func (c *capacity) UnmarshalJSON(text []byte) error {
	var pair [2]int64
	err := json.Unmarshal(text, &pair)
	c.Capacity, c.Allocatable = pair[0], pair[1]
	return err
}
