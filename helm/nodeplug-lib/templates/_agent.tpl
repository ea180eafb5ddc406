{{/* All objects of one agent. */}}
{{- define "nodeplug.agent" -}}
{{- include "nodeplug.checkAgent" . -}}
{{- $agent := merge (dict "grants" (include "nodeplug.grants" . | fromJson)) . -}}
{{- include "nodeplug.checkProbes" $agent -}}
{{- include "nodeplug.checkRights" $agent -}}
{{ include "nodeplug.configMap" $agent }}
{{ include "nodeplug.daemonSet" $agent }}
{{- if .values.serviceAccount.create }}
{{ include "nodeplug.serviceAccount" $agent }}
{{- end }}
{{- if and .values.rbac.create $agent.grants.rights }}
{{ include "nodeplug.roles" $agent }}
{{- end }}
{{- if and .values.rbac.admissionPolicy $agent.grants.rights }}
{{ include "nodeplug.policies" $agent }}
{{- end }}
{{- if .values.openshift.scc }}
{{ include "nodeplug.scc" $agent }}
{{- end }}
{{- if .values.networkPolicy.enabled }}
{{ include "nodeplug.networkPolicy" $agent }}
{{- end }}
{{- if .values.podMonitor.enabled }}
{{ include "nodeplug.podMonitor" $agent }}
{{- end }}
{{- end -}}

{{- define "nodeplug.configMap" -}}
---
apiVersion: v1
kind: ConfigMap
{{ include "nodeplug.metadata" . }}
data:
  nodeplug.yaml: |
    {{- toYaml .config | nindent 4 }}
{{- end -}}

{{/* The port of metrics and probes. */}}
{{- define "nodeplug.port" -}}
{{- $metrics := .config.metrics | default dict -}}
{{- if and $metrics.port (gt (int $metrics.port) 0) -}}
{{- int $metrics.port -}}
{{- else if eq (len .backends) 1 -}}
{{- $ports := include "nodeplug.ports" . | fromJson -}}
{{- int (index $ports (first .backends) | default .values.metricsPort | default 9840) -}}
{{- else -}}
9840
{{- end -}}
{{- end -}}

{{/* "yes" if metrics and probes are served. */}}
{{- define "nodeplug.serves" -}}
{{- $metrics := .config.metrics | default dict -}}
{{- if not (and (hasKey $metrics "enabled") (not $metrics.enabled)) -}}yes{{- end -}}
{{- end -}}

{{- define "nodeplug.probe" -}}
{{- $address := (.agent.config.metrics | default dict).address | default "" -}}
httpGet:
  path: {{ .path }}
  port: metrics
  {{- if not (has $address (list "" "0.0.0.0" "::")) }}
  host: {{ $address | quote }}
  {{- end }}
{{- end -}}

{{/* What of the configuration is read once, at the start; the rest is taken over while it runs. */}}
{{- define "nodeplug.readOnce" -}}
{{- $hot := list "offers" "quarantine" "backends" "nodes" -}}
{{- $parts := list -}}
{{- range (prepend (.config.nodes | default list) (dict "config" .config)) -}}
{{- $part := deepCopy (.config | default dict) -}}
{{- range $hot -}}{{- $part = omit $part . -}}{{- end -}}
{{- if $part -}}{{- $parts = append $parts (dict "names" .names "labels" .labels "config" $part) -}}{{- end -}}
{{- end -}}
{{- toJson $parts | sha256sum | trunc 16 -}}
{{- end -}}
