// Reads documents as the libraries do that Kubernetes and container runtimes use. The command is
// what is on standard input: `yaml`, documents; `list` and `inject`, directories with CDI files.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	oci "github.com/opencontainers/runtime-spec/specs-go"
	"sigs.k8s.io/yaml"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// Reading is what a library makes of a document or a directory, or why it refuses it.
type Reading struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func readYAML(document string) Reading {
	value, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return Reading{Error: err.Error()}
	}
	return Reading{Value: json.RawMessage(value)}
}

// list returns the devices that are described in a directory.
func list(directory string) Reading {
	cache, err := open(directory)
	if err != nil {
		return Reading{Error: err.Error()}
	}
	return Reading{Value: cache.ListDevices()}
}

// inject returns what a container becomes by devices: a directory, and their names.
func inject(input string) Reading {
	words := strings.Fields(input)
	cache, err := open(words[0])
	if err != nil {
		return Reading{Error: err.Error()}
	}
	container := &oci.Spec{}
	if _, err := cache.InjectDevices(container, words[1:]...); err != nil {
		return Reading{Error: err.Error()}
	}
	return Reading{Value: container}
}

func open(directory string) (*cdi.Cache, error) {
	cache, err := cdi.NewCache(cdi.WithSpecDirs(directory), cdi.WithAutoRefresh(false))
	if err != nil {
		return nil, err
	}
	for file, errs := range cache.GetErrors() {
		return nil, fmt.Errorf("%s: %w", file, errors.Join(errs...))
	}
	return cache, nil
}

func main() {
	commands := map[string]func(string) Reading{"yaml": readYAML, "list": list, "inject": inject}
	read := commands[os.Args[1]]
	var inputs []string
	if err := json.NewDecoder(os.Stdin).Decode(&inputs); err != nil {
		log.Fatal(err)
	}
	readings := make([]Reading, 0, len(inputs))
	for _, each := range inputs {
		readings = append(readings, read(each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(readings); err != nil {
		log.Fatal(err)
	}
}
