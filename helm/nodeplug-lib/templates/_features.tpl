{{- define "nodeplug.featureLabel" -}}
feature.node.kubernetes.io/nodeplug-{{ .component }}
{{- end -}}

{{/* A rule by which Node Feature Discovery labels the nodes that have the hardware. */}}
{{- define "nodeplug.featureRule" -}}
{{- $features := .values.nodeFeatureDiscovery.matchFeatures -}}
{{- if not $features -}}
{{- include "nodeplug.refuse" (dict "at" (printf "%s.nodeFeatureDiscovery.matchFeatures" .component)
  "problem" "is empty, so that no node could be told from another"
  "remedy" "say by which features a node has the hardware, or set nodeFeatureDiscovery.rule to false") -}}
{{- end -}}
---
apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeatureRule
metadata:
  name: {{ printf "%s-%s-%s" .root.Release.Namespace .root.Release.Name .component | trunc 63 | trimSuffix "-" }}
  labels:
    {{- include "nodeplug.labels" (merge (dict "pool" "") .) | nindent 4 }}
spec:
  rules:
    - name: {{ .component }}
      labels:
        {{ include "nodeplug.featureLabel" . }}: "true"
      matchFeatures:
        {{- toYaml $features | nindent 8 }}
{{- end -}}
