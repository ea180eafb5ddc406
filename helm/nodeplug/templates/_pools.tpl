{{/* Values of a foreign backend: its own over those of a chart for one backend. */}}
{{- define "nodeplug.foreignValues" -}}
{{- $root := index . 0 -}}{{- $own := index . 1 -}}
{{- $common := omit $root.Values.combined "image" "config" "resources" -}}
{{- $resources := dict "resources" $root.Values.custom.resources -}}
{{- $image := dict "image" (dict "pullPolicy" "IfNotPresent") -}}
{{- $values := mergeOverwrite (deepCopy $common) $resources $image (deepCopy $own) -}}
{{- $_ := set $values "config" ($own.config | default dict) -}}
{{- $_ = set $values "enabled" (ternary $own.enabled true (hasKey $own "enabled")) -}}
{{- toJson $values -}}
{{- end -}}

{{/* Refuse pools that name a backend which is neither ours nor in `foreign`. */}}
{{- define "nodeplug.checkNames" -}}
{{- $values := .Values -}}
{{- $ours := include "nodeplug.ports" . | fromJson -}}
{{- range $name, $own := $values.foreign -}}
{{- if hasKey $ours $name -}}
{{- include "nodeplug.refuse" (dict "at" (printf "foreign.%s" $name)
  "problem" "is one of our own backends"
  "remedy" (printf "set the values of the chart %s instead" (replace "_" "-" $name))) -}}
{{- end -}}
{{- if not $own.image.repository -}}
{{- include "nodeplug.refuse" (dict "at" (printf "foreign.%s.image.repository" $name)
  "problem" "is not given" "remedy" "name the image that has the backend") -}}
{{- end -}}
{{- end -}}
{{- range $pool, $it := ($values.global | default dict).nodePools -}}
{{- range $backend := $it.backends -}}
{{- if not (or (hasKey $ours $backend) (hasKey $values.foreign $backend)) -}}
{{- include "nodeplug.refuse" (dict "at" (printf "global.nodePools.%s.backends" $pool)
  "problem" (printf "there is no backend %s; ours are %s" $backend (keys $ours | sortAlpha | join ", "))
  "remedy" (printf "correct the name, or for a backend of others set foreign.%s.image.repository" $backend)) -}}
{{- end -}}
{{- if and (eq ($it.agent | default "separate") "combined") (hasKey $values.foreign $backend) (not ($it.image | default dict).repository) -}}
{{- include "nodeplug.refuse" (dict "at" (printf "global.nodePools.%s.image.repository" $pool)
  "problem" (printf "is not given, and our image does not have the backend %s" $backend)
  "remedy" "name an image that has all backends of the pool, or leave `agent: combined` out") -}}
{{- end -}}
{{- end -}}
{{- range $backend := keys (($it.config | default dict).backends | default dict) -}}
{{- if not (has $backend $it.backends) -}}
{{- include "nodeplug.refuse" (dict "at" (printf "global.nodePools.%s.config.backends.%s" $pool $backend)
  "problem" "the pool does not have this backend"
  "remedy" (printf "correct the name, or add %s to global.nodePools.%s.backends" $backend $pool)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The values of one backend's chart, whoever's it is, as JSON. */}}
{{- define "nodeplug.valuesOf" -}}
{{- $root := index . 0 -}}{{- $backend := index . 1 -}}
{{- if hasKey $root.Values.foreign $backend -}}
{{- include "nodeplug.foreignValues" (list $root (index $root.Values.foreign $backend)) -}}
{{- else -}}
{{- index $root.Values (replace "_" "-" $backend) | toJson -}}
{{- end -}}
{{- end -}}

{{/*
What the combined agent of a pool has, as JSON: values and configuration, the union of what the
charts of its backends have. Takes the chart's context and the pool.
*/}}
{{- define "nodeplug.union" -}}
{{- $root := .root -}}{{- $pool := .pool -}}
{{- $values := deepCopy $root.Values.combined -}}
{{- $config := deepCopy $values.config -}}
{{- $sections := deepCopy ($config.backends | default dict) -}}
{{- $offers := $config.offers | default list -}}
{{- $quarantine := $config.quarantine | default list -}}
{{- $classes := list ($pool.runtimeClassName | default $values.runtimeClassName) -}}
{{- range $backend := $pool.backends -}}
{{- $of := include "nodeplug.valuesOf" (list $root $backend) | fromJson -}}
{{- with index ($of.config.backends | default dict) $backend -}}
{{- $_ := set $sections $backend (mergeOverwrite (deepCopy .) (index $sections $backend | default dict)) -}}
{{- end -}}
{{- $offers = concat $offers ($of.config.offers | default list) -}}
{{- $quarantine = concat $quarantine ($of.config.quarantine | default list) -}}
{{- $_ := set $values "hostPaths" (concat $values.hostPaths ($of.hostPaths | default list)) -}}
{{- $_ = set $values "env" (concat $values.env ($of.env | default list) | uniq) -}}
{{- $_ = set $values "tolerations" (concat $values.tolerations ($of.tolerations | default list) | uniq) -}}
{{- if $of.hostNetwork -}}{{- $_ := set $values "hostNetwork" true -}}{{- end -}}
{{- if not $pool.runtimeClassName -}}{{- $classes = append $classes $of.runtimeClassName -}}{{- end -}}
{{- end -}}
{{- $classes = $classes | compact | uniq -}}
{{- if gt (len $classes) 1 -}}
{{- include "nodeplug.refuse" (dict "at" (printf "global.nodePools.%s.agent" .name)
  "problem" (printf "one pod cannot have the runtime classes %s" (join " and " $classes))
  "remedy" (printf "set global.nodePools.%s.runtimeClassName, or leave `agent: combined` out" .name)) -}}
{{- end -}}
{{- $_ := set $values "runtimeClassName" (join "" $classes) -}}
{{- if $sections -}}{{- $_ := set $config "backends" $sections -}}{{- end -}}
{{- if $offers -}}{{- $_ := set $config "offers" $offers -}}{{- end -}}
{{- if $quarantine -}}{{- $_ := set $config "quarantine" $quarantine -}}{{- end -}}
{{- $merged := include "nodeplug.poolConfig" (dict "config" $config "pool" $pool "backends" $pool.backends) | fromJson -}}
{{- dict "values" $values "config" $merged | toJson -}}
{{- end -}}
