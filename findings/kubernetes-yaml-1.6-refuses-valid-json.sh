#!/usr/bin/env bash
# Run: sigs.k8s.io/yaml 1.6.0, by which kubectl, Helm and the CDI library read JSON and YAML, beside
# Go's own encoding/json.
#
# Seen: two escapes that JSON has (RFC 8259, section 7) are refused: an escaped slash, and a
# character beyond U+FFFF, which JSON without other letters than ASCII writes as two halves. YAML 1.2
# has both, too; it was made a superset of JSON. And a document that says it is YAML 1.2 (%YAML 1.2)
# is refused for that.
#
# Surprising: "every JSON file is a YAML file" holds until the first emoji that Python's json module
# has written, which escapes by default, or the first link that PHP's has.
#
# Hits: whoever writes JSON for such a reader: CDI specifications, manifests, values of charts.
set -euo pipefail

yaml=v1.6.0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >go.mod <<END
module finding

go 1.23

require sigs.k8s.io/yaml $yaml
END
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

func main() {
	for _, text := range []string{`"\u00e9"`, `"\/"`, `"\ud83d\ude00"`, "%YAML 1.2\n--- a"} {
		var byJSON, byYAML string
		ofJSON := json.Unmarshal([]byte(text), &byJSON)
		ofYAML := yaml.Unmarshal([]byte(text), &byYAML)
		fmt.Printf("%q: JSON %q (%t), YAML %q (%v)\n", text, byJSON, ofJSON == nil, byYAML, ofYAML)
	}
}
GO
go mod tidy >log 2>&1
go run . | tee seen

cat >expected <<'END'
"\"\\u00e9\"": JSON "é" (true), YAML "é" (<nil>)
"\"\\/\"": JSON "/" (true), YAML "" (error converting YAML to JSON: yaml: found unknown escape character)
"\"\\ud83d\\ude00\"": JSON "😀" (true), YAML "" (error converting YAML to JSON: yaml: found invalid Unicode character escape code)
"%YAML 1.2\n--- a": JSON "" (false), YAML "" (error converting YAML to JSON: yaml: found incompatible YAML document)
END
diff expected seen
echo "sigs.k8s.io/yaml $yaml: as described"
