{{/*
Every template below takes an agent: a dict of
  root      the chart's own context
  values    image, resources and so on: what helm/values/agent.yaml lists
  component the chart's name, or `combined`, or a foreign backend in dashed form
  backends  entry-point names
  pool      name of the node pool, or ""
  place     the pool, or {}: nodeSelector, tolerations, affinity and so on
  config    what the agent is configured with
  foreign   privileges of backends that are not ours
*/}}

{{- define "nodeplug.name" -}}
{{- $release := .root.Release.Name | trunc 20 | trimSuffix "-" -}}
{{- printf "%s-%s%s" $release .component (ternary (printf "-%s" .pool) "" (ne .pool "")) -}}
{{- end -}}

{{/* Cluster-wide objects: two releases of one name may live in two namespaces. */}}
{{- define "nodeplug.clusterName" -}}
{{- printf "%s-%s" .root.Release.Namespace (include "nodeplug.name" .) -}}
{{- end -}}

{{- define "nodeplug.selectorLabels" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: agent
{{- with .pool }}
nodeplug-pool: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "nodeplug.labels" -}}
{{ include "nodeplug.selectorLabels" . }}
app.kubernetes.io/part-of: nodeplug
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "nodeplug.metadata" -}}
metadata:
  name: {{ include "nodeplug.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "nodeplug.labels" . | nindent 4 }}
{{- end -}}

{{- define "nodeplug.clusterMetadata" -}}
metadata:
  name: {{ include "nodeplug.clusterName" . }}
  labels:
    {{- include "nodeplug.labels" . | nindent 4 }}
{{- end -}}

{{- define "nodeplug.serviceAccountName" -}}
{{- if .values.serviceAccount.create -}}
{{- $own := list .values.serviceAccount.name .pool | compact | join "-" -}}
{{- ternary $own (include "nodeplug.name" .) (ne .values.serviceAccount.name "") -}}
{{- else -}}
{{- .values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "nodeplug.image" -}}
{{- $image := mergeOverwrite (deepCopy .values.image) (.place.image | default dict) -}}
{{- $global := .root.Values.global | default dict -}}
{{- $registry := $image.registry | default $global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (not (empty $registry)) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "nodeplug.pullSecrets" -}}
{{- $global := .root.Values.global | default dict -}}
{{- concat ($global.imagePullSecrets | default list) .values.imagePullSecrets | uniq | toJson -}}
{{- end -}}
