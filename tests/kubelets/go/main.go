// Command kubelet runs those parts of a real kubelet that deal with device plugins: the device
// manager, the Topology Manager, the plugin manager and the pod resources server.
//
//	kubelet DIRECTORY
//
// DIRECTORY becomes /var/lib/kubelet/device-plugins in a mount namespace of the process's own. Commands come as JSON
// lines on standard input, answers and events leave as JSON lines on standard output, each with
// the state after it. The end of the input ends the process.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 || os.Args[2] != inside {
		os.Exit(enterNamespace(os.Args[1]))
	}
	if err := mountDirectory(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
	serve()
}

func serve() {
	out := newOutput(os.Stdout)
	node := newNode(out)
	out.state = node.state
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var command command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			out.put(event{Event: "answer", Error: err.Error()})
			continue
		}
		node.handle(command)
	}
}
