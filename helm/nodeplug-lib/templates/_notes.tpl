{{/* What the operator does next. Takes the chart's context. */}}
{{- define "nodeplug.notes" -}}
{{- $pools := (.Values.global | default dict).nodePools | default dict -}}
{{- $namespace := .Release.Namespace -}}
nodeplug {{ .Chart.AppVersion }}: {{ .Chart.Name }} in namespace {{ $namespace }}{{ if $pools }}, node pools {{ keys $pools | sortAlpha | join ", " }}{{ end }}

The namespace must allow pods with folders of the host:
  kubectl label namespace {{ $namespace }} pod-security.kubernetes.io/enforce=privileged

See the agents start, then what the nodes offer:
  kubectl --namespace {{ $namespace }} rollout status daemonset --selector app.kubernetes.io/instance={{ .Release.Name }}
  kubectl get nodes --output custom-columns=NODE:.metadata.name,ALLOCATABLE:.status.allocatable

Try it with the pods that the values under `test` describe; their logs say what is short, and why:
  helm test {{ .Release.Name }} --namespace {{ $namespace }} --logs
{{- end -}}
