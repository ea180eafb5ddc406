// Reads documents as the libraries do that Kubernetes and container runtimes use.
package main

import (
	"encoding/json"
	"log"
	"os"

	"sigs.k8s.io/yaml"
)

// Reading is what a library makes of a document: JSON, or why it refuses it.
type Reading struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
}

func read(document string) Reading {
	value, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return Reading{Error: err.Error()}
	}
	return Reading{Value: value}
}

func main() {
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		log.Fatal(err)
	}
	readings := make([]Reading, 0, len(documents))
	for _, document := range documents {
		readings = append(readings, read(document))
	}
	if err := json.NewEncoder(os.Stdout).Encode(readings); err != nil {
		log.Fatal(err)
	}
}
