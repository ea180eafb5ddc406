{{/* What the schemas cannot see. Each refusal names the value and what to do. */}}

{{- define "nodeplug.refuse" -}}
{{- fail (printf "\n\nnodeplug: %s: %s.\n  Remedy: %s.\n" .at .problem .remedy) -}}
{{- end -}}

{{/* "yes" if one selector holds wherever the other holds, so that a node of both can be seen. */}}
{{- define "nodeplug.covers" -}}
{{- $wide := .wide | default dict -}}{{- $narrow := .narrow | default dict -}}
{{- $covers := true -}}
{{- range $key, $value := $wide -}}
{{- if ne (toString (index $narrow $key)) (toString $value) -}}{{- $covers = false -}}{{- end -}}
{{- end -}}
{{- if $covers -}}yes{{- end -}}
{{- end -}}

{{/* Refuse two pools that give one node two agents of the same backend. Takes the chart's context. */}}
{{- define "nodeplug.checkPools" -}}
{{- $pools := (.Values.global | default dict).nodePools | default dict -}}
{{- range $name, $pool := $pools -}}
{{- range $other, $second := $pools -}}
{{- if and (lt $name $other) (not $pool.affinity) (not $second.affinity) -}}
{{- $first := dict "wide" $pool.nodeSelector "narrow" $second.nodeSelector -}}
{{- $reverse := dict "wide" $second.nodeSelector "narrow" $pool.nodeSelector -}}
{{- if or (include "nodeplug.covers" $first) (include "nodeplug.covers" $reverse) -}}
{{- range $pool.backends -}}
{{- if has . $second.backends -}}
{{- include "nodeplug.refuse" (dict
  "at" (printf "global.nodePools.%s.nodeSelector" $other)
  "problem" (printf "pools %s and %s select the same nodes, and both have the backend %s" $name $other .)
  "remedy" "give the pools selectors that differ in the value of one label, or an affinity that tells them apart, or name the backend in one of them") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the configuration of an agent stands in the values, for messages. */}}
{{- define "nodeplug.place" -}}
{{- if .pool -}}{{- printf "global.nodePools.%s.config or %s.config" .pool .component -}}
{{- else -}}config{{- end -}}
{{- end -}}

{{- define "nodeplug.checkAgent" -}}
{{- $at := include "nodeplug.place" . -}}
{{- $root := (.config.host | default dict).root | default "/" -}}
{{- if ne $root "/" -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s: host.root" $at)
  "problem" (printf "is %s, but the chart mounts folders of the host at their own paths" $root)
  "remedy" "leave it out") -}}
{{- end -}}
{{- if and .values.podMonitor.enabled (not (include "nodeplug.serves" .)) -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s: metrics.enabled" $at)
  "problem" "is false, but podMonitor.enabled is true"
  "remedy" "switch the one on or the other off") -}}
{{- end -}}
{{- if not .values.image.repository -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s.image.repository" .component)
  "problem" "is empty" "remedy" "name the image that has the backend") -}}
{{- end -}}
{{- if has "custom" .backends -}}{{- include "nodeplug.checkPaths" . -}}{{- end -}}
{{- end -}}

{{/* Refuse metrics and probes where the kubelet would not find them. */}}
{{- define "nodeplug.checkProbes" -}}
{{- $at := include "nodeplug.place" . -}}
{{- $address := (.config.metrics | default dict).address | default "" -}}
{{- if and (or (hasPrefix "127." $address) (eq $address "::1")) (not .grants.hostNetwork) -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s: metrics.address" $at)
  "problem" (printf "is %s, where the kubelet cannot probe a pod with a network of its own" $address)
  "remedy" "leave it out; networkPolicy.enabled keeps others away") -}}
{{- end -}}
{{- range $number, $override := .config.nodes -}}
{{- with ($override.config | default dict).metrics -}}
{{- if or (hasKey . "port") (hasKey . "enabled") (hasKey . "address") -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s: nodes[%d].config.metrics" $at $number)
  "problem" "changes where probes are answered, but all pods of a DaemonSet are probed alike"
  "remedy" "make these nodes a pool in global.nodePools, with a configuration of its own") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuse rights to write to nodes that the admission policy would take back. */}}
{{- define "nodeplug.checkRights" -}}
{{- range $backend := ternary .backends list .values.rbac.admissionPolicy -}}
{{- range $line := index $.foreign $backend | default list -}}
{{- range $line.rights -}}
{{- if and (regexMatch "^nodes(/|$)" .resource) (without .verbs "get" "list" "watch") -}}
{{- include "nodeplug.refuse" (dict "at" (printf "foreign.%s.privileges: %s" $backend $line.feature)
  "problem" (printf "asks for %s on %s, but the admission policy knows only what core writes there" (join ", " .verbs) .resource)
  "remedy" "set rbac.admissionPolicy to false for this agent, and limit its account yourself") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuse devices of the backend `custom` that the agent could not see. */}}
{{- define "nodeplug.checkPaths" -}}
{{- $seen := list "/dev" "/sys" "/proc" -}}
{{- range .values.hostPaths -}}{{- $seen = append $seen (trimSuffix "/" .path) -}}{{- end -}}
{{- $steps := splitList "." "backends.custom.resources[].devices[].path" -}}
{{- range splitList "\n" (include "nodeplug.at" (dict "value" .config "steps" $steps)) -}}
{{- $path := trimAll "\"" . -}}
{{- if $path -}}
{{- $is := false -}}
{{- range $seen -}}{{- $is = or $is (hasPrefix (printf "%s/" .) $path) -}}{{- end -}}
{{- if not $is -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s: backends.custom.resources[].devices[].path" (include "nodeplug.place" $))
  "problem" (printf "%s is not below a folder of the host that the agent sees (%s)" $path (join ", " $seen))
  "remedy" (printf "add {path: %s} to %s.hostPaths" (dir (regexReplaceAll "[*?\\[].*" $path "")) $.component)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
