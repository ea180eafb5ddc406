{{/*
What an agent is granted: the lines of the privilege table that its configuration switches on.
The table is in _privileges.tpl, which is generated from what core and backends say of themselves.
*/}}

{{/* The values at a path of keys, one JSON text per line; a key that ends in [] is a list. */}}
{{- define "nodeplug.at" -}}
{{- if not .steps -}}
{{- printf "%s\n" (toJson .value) -}}
{{- else -}}
{{- $step := first .steps -}}
{{- $key := trimSuffix "[]" $step -}}
{{- if and (kindIs "map" .value) (hasKey .value $key) -}}
{{- $found := index .value $key -}}
{{- $rest := rest .steps -}}
{{- range (ternary $found (list $found) (and (hasSuffix "[]" $step) (kindIs "slice" $found))) -}}
{{- include "nodeplug.at" (dict "value" . "steps" $rest) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "yes" if a configuration gives the setting: a value that matches, or any that is not empty. */}}
{{- define "nodeplug.isOn" -}}
{{- $parts := splitn "=" 2 .setting -}}
{{- $wanted := $parts._1 | default "" -}}
{{- $any := or (eq $wanted "") (regexMatch "^[A-Z]+$" $wanted) -}}
{{- $pattern := printf "^%s$" (regexQuoteMeta $wanted | replace "\\*" ".*") -}}
{{- $found := include "nodeplug.at" (dict "value" .config "steps" (splitList "." $parts._0)) -}}
{{- range (splitList "\n" $found) -}}
{{- $value := . | trimAll "\"" -}}
{{- if or (has $value (list "" "null" "[]" "{}")) (and $any (has $value (list "false" "0"))) -}}
{{- else if or $any (regexMatch $pattern $value) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* The lines of one table that are on, as JSON; `configs` are all that may hold on some node. */}}
{{- define "nodeplug.lines" -}}
{{- $on := list -}}
{{- range $line := .table -}}
{{- $is := empty $line.setting -}}
{{- range $config := $.configs -}}
{{- if and $line.setting (include "nodeplug.isOn" (dict "setting" $line.setting "config" $config)) -}}
{{- $is = true -}}
{{- end -}}
{{- end -}}
{{- if $is -}}{{- $on = append $on $line -}}{{- end -}}
{{- end -}}
{{- toJson $on -}}
{{- end -}}

{{/* All lines that an agent is granted, as JSON. */}}
{{- define "nodeplug.grantedLines" -}}
{{- $configs := list .config -}}
{{- range .config.nodes -}}{{- $configs = append $configs (.config | default dict) -}}{{- end -}}
{{- $table := include "nodeplug.privileges" . | fromJson -}}
{{- $lines := include "nodeplug.lines" (dict "table" $table.core "configs" $configs) | fromJsonArray -}}
{{- range $name := .backends -}}
{{- $sections := list -}}
{{- range $configs -}}
{{- $sections = append $sections (index (.backends | default dict) $name | default dict) -}}
{{- end -}}
{{- $own := index $table $name | default (index $.foreign $name) | default list -}}
{{- $more := include "nodeplug.lines" (dict "table" $own "configs" $sections) | fromJsonArray -}}
{{- $lines = concat $lines $more -}}
{{- end -}}
{{- toJson $lines -}}
{{- end -}}

{{/* Where a mount of the table is: where the configuration says, if it has a key for it, which is
nowhere if it says "". */}}
{{- define "nodeplug.mountPath" -}}
{{- $path := .mount.path -}}
{{- with .mount.key -}}
{{- $at := dict "value" $.config "steps" (splitList "." .) -}}
{{- with include "nodeplug.at" $at | trim -}}
{{- $path = trimAll "\"" . -}}
{{- if $.mount.parent -}}{{- $path = dir $path -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $path -}}
{{- end -}}

{{/* The union of what the lines grant, as JSON: mounts by path, capabilities, rights and so on. */}}
{{- define "nodeplug.grants" -}}
{{- $agent := . -}}
{{- $mounts := dict -}}{{- $capabilities := list -}}{{- $rights := dict -}}
{{- $privileged := false -}}{{- $network := .values.hostNetwork -}}
{{- range (include "nodeplug.grantedLines" . | fromJsonArray) -}}
{{- $privileged = or $privileged (.privileged | default false) -}}
{{- $network = or $network (.hostNetwork | default false) -}}
{{- $capabilities = concat $capabilities (.capabilities | default list) | uniq | sortAlpha -}}
{{- range .mounts -}}
{{- $path := include "nodeplug.mountPath" (dict "mount" . "config" $agent.config) -}}
{{- $readOnly := ternary .readOnly true (hasKey . "readOnly") -}}
{{- $later := .propagation | default false -}}
{{- if $path -}}
{{- include "nodeplug.addMount" (dict "mounts" $mounts "path" $path "readOnly" $readOnly "propagation" $later) -}}
{{- end -}}
{{- end -}}
{{- range .rights -}}
{{- $there := index $rights (.namespace | default "") | default dict -}}
{{- $verbs := concat (index $there .resource | default list) .verbs | uniq | sortAlpha -}}
{{- $_ := set $rights (.namespace | default "") (set $there .resource $verbs) -}}
{{- end -}}
{{- end -}}
{{- range .values.hostPaths -}}
{{- $later := eq (.propagation | default "None") "HostToContainer" -}}
{{- $readOnly := ternary .readOnly true (hasKey . "readOnly") -}}
{{- include "nodeplug.addMount" (dict "mounts" $mounts "path" .path "readOnly" $readOnly "propagation" $later) -}}
{{- end -}}
{{- dict "mounts" $mounts "capabilities" $capabilities "rights" $rights "privileged" $privileged "hostNetwork" $network | toJson -}}
{{- end -}}

{{/* Add a mount; of two for one path the one that gives more holds. */}}
{{- define "nodeplug.addMount" -}}
{{- $had := index .mounts .path | default (dict "readOnly" true "propagation" false) -}}
{{- $now := dict "readOnly" (and $had.readOnly .readOnly) "propagation" (or $had.propagation .propagation) -}}
{{- $_ := set .mounts .path $now -}}
{{- end -}}
