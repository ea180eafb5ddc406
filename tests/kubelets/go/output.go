package main

import (
	"encoding/json"
	"flag"
	"io"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// How much of the log is looked through; calls of plugins are logged at 4.
const verbosity = 4

// event is one line of output: the answer to a command, or something that the kubelet logged or
// announced.
type event struct {
	Event  string         `json:"event"`
	ID     int            `json:"id,omitempty"`
	Text   string         `json:"text,omitempty"`
	Error  string         `json:"error,omitempty"`
	Values map[string]any `json:"values,omitempty"`
	Answer any            `json:"answer,omitempty"`
	State  any            `json:"state,omitempty"`
}

// output writes events in order, each with the state that holds when it is written.
type output struct {
	state  func() any
	mutex  sync.Mutex
	ready  *sync.Cond
	events []event
	lines  *json.Encoder
}

func newOutput(to io.Writer) *output {
	out := &output{lines: json.NewEncoder(to)}
	out.ready = sync.NewCond(&out.mutex)
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	// Up to 1.34 the device manager asks klog itself how much is wanted.
	if err := flags.Set("v", strconv.Itoa(verbosity)); err != nil {
		panic(err)
	}
	klog.SetLoggerWithOptions(logr.New(logSink{out: out}), klog.ContextualLogger(true))
	go out.write()
	return out
}

// put adds an event without waiting: the kubelet logs with its locks held.
func (o *output) put(e event) {
	o.mutex.Lock()
	o.events = append(o.events, e)
	o.mutex.Unlock()
	o.ready.Signal()
}

func (o *output) write() {
	for {
		o.mutex.Lock()
		for len(o.events) == 0 {
			o.ready.Wait()
		}
		events := o.events
		o.events = nil
		o.mutex.Unlock()
		if o.state != nil {
			events[len(events)-1].State = o.state()
		}
		for _, e := range events {
			if err := o.lines.Encode(e); err != nil {
				panic(err)
			}
		}
	}
}

// logSink makes events of the kubelet's log, the only place where some of its acts show.
type logSink struct {
	out    *output
	values []any
}

func (s logSink) Init(logr.RuntimeInfo) {}

func (s logSink) Enabled(level int) bool { return level <= verbosity }

func (s logSink) Info(_ int, text string, values ...any) {
	if told[text] {
		s.out.put(event{Event: "log", Text: text, Values: s.asMap(values)})
	}
}

func (s logSink) Error(err error, text string, values ...any) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	s.out.put(event{Event: "log", Text: text, Error: problem, Values: s.asMap(values)})
}

func (s logSink) WithValues(values ...any) logr.LogSink {
	return logSink{s.out, append(append([]any{}, s.values...), values...)}
}

func (s logSink) WithName(string) logr.LogSink { return s }

func (s logSink) asMap(values []any) map[string]any {
	found := map[string]any{}
	all := append(append([]any{}, s.values...), values...)
	for n := 0; n+1 < len(all); n += 2 {
		key, _ := all[n].(string)
		switch value := all[n+1].(type) {
		case string, int, []string, bool:
			found[key] = value
		}
	}
	return found
}

// told lists what is passed on of the lines that report no error.
// Some of them nobody reads: the state that leaves with them is news.
var told = map[string]bool{
	"Got registration request from device plugin with resource": true,
	"Registering plugin at endpoint":                            true,
	"Connected to new client":                                   true,
	"Processed device updates for resource":                     true,
	"Device plugin disconnected":                                true,
	"Making allocation request for device plugin":               true,
	"Issuing a GetPreferredAllocation call for container":       true,
	"Issuing a PreStartContainer call for container":            true,
	"Registered client":                                         true,
	"Pods to be removed":                                        true,
}
