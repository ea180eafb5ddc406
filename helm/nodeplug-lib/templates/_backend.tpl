{{/*
All objects of a chart that is for one backend: an agent for each node pool that names it, or one.
Takes the chart's context; the backend is the chart's name with underscores.
*/}}
{{- define "nodeplug.backend" -}}
{{- include "nodeplug.checkPools" . -}}
{{- $backend := .Chart.Name | replace "-" "_" -}}
{{- $base := dict "root" . "values" .Values "component" .Chart.Name "backends" (list $backend) "foreign" dict -}}
{{ include "nodeplug.spread" (dict "base" $base "backend" $backend) }}
{{- if include "nodeplug.runs" $base }}
{{- if .Values.nodeFeatureDiscovery.rule }}
{{ include "nodeplug.featureRule" $base }}
{{- end }}
{{ include "nodeplug.tests" $base }}
{{- end }}
{{- end -}}

{{/* "yes" if there is any agent with the one backend, be it a combined one. */}}
{{- define "nodeplug.runs" -}}
{{- $pools := (.root.Values.global | default dict).nodePools | default dict -}}
{{- $backend := first .backends -}}
{{- $named := false -}}
{{- range $pools -}}{{- $named = or $named (has $backend .backends) -}}{{- end -}}
{{- if ternary $named .values.enabled (not (empty $pools)) -}}yes{{- end -}}
{{- end -}}

{{/* One agent for each pool of the backend; without pools one, if it is enabled. */}}
{{- define "nodeplug.spread" -}}
{{- $base := .base -}}{{- $backend := .backend -}}
{{- $pools := ($base.root.Values.global | default dict).nodePools | default dict -}}
{{- $values := $base.values -}}
{{- $settings := dict "config" $values.config "backends" $base.backends -}}
{{- range $name, $pool := $pools -}}
{{- if and (has $backend $pool.backends) (ne ($pool.agent | default "separate") "combined") -}}
{{- $config := include "nodeplug.poolConfig" (merge (dict "pool" $pool) $settings) | fromJson -}}
{{- include "nodeplug.agent" (merge (dict "pool" $name "place" $pool "config" $config) $base) }}
{{ end -}}
{{- end -}}
{{- if and (not $pools) $values.enabled -}}
{{- $config := include "nodeplug.poolConfig" (merge (dict "pool" dict) $settings) | fromJson -}}
{{- include "nodeplug.agent" (merge (dict "pool" "" "place" dict "config" $config) $base) }}
{{- end -}}
{{- end -}}

{{/*
The configuration of an agent in a pool, as JSON: what the pool says is merged over it, and of the
sections of backends those of the agent's own remain.
*/}}
{{- define "nodeplug.poolConfig" -}}
{{- $config := mergeOverwrite (deepCopy .config) (deepCopy (.pool.config | default dict)) -}}
{{- $own := dict -}}
{{- range .backends -}}
{{- if hasKey ($config.backends | default dict) . -}}
{{- $_ := set $own . (index $config.backends .) -}}
{{- end -}}
{{- end -}}
{{- $config = omit $config "backends" -}}
{{- if $own -}}{{- $_ := set $config "backends" $own -}}{{- end -}}
{{- toJson $config -}}
{{- end -}}
