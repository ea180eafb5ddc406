{{- define "nodeplug.serviceAccount" -}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "nodeplug.serviceAccountName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "nodeplug.labels" . | nindent 4 }}
  {{- with .values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{/* A role for each namespace in which there are rights, and one for those that are in none. */}}
{{- define "nodeplug.roles" -}}
{{- $agent := . -}}
{{- range $namespace, $rights := .grants.rights }}
{{- $kind := ternary "Role" "ClusterRole" (ne $namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
{{ include "nodeplug.clusterMetadata" $agent }}
{{- with $namespace }}
  namespace: {{ . }}
{{- end }}
rules:
  {{- range $resource, $verbs := $rights }}
  - apiGroups: [""]
    resources: [{{ $resource }}]
    verbs: {{ toJson $verbs }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
{{ include "nodeplug.clusterMetadata" $agent }}
{{- with $namespace }}
  namespace: {{ . }}
{{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ include "nodeplug.clusterName" $agent }}
subjects:
  - kind: ServiceAccount
    name: {{ include "nodeplug.serviceAccountName" $agent }}
    namespace: {{ $agent.root.Release.Namespace }}
{{- end }}
{{- end -}}

{{- define "nodeplug.scc" -}}
---
apiVersion: security.openshift.io/v1
kind: SecurityContextConstraints
{{ include "nodeplug.clusterMetadata" . }}
allowHostDirVolumePlugin: true
allowHostIPC: false
allowHostNetwork: {{ .grants.hostNetwork }}
allowHostPID: false
allowHostPorts: {{ .grants.hostNetwork }}
allowPrivilegeEscalation: {{ or .grants.privileged (has "SYS_ADMIN" .grants.capabilities) }}
allowPrivilegedContainer: {{ .grants.privileged }}
allowedCapabilities: {{ toJson .grants.capabilities }}
requiredDropCapabilities: {{ if or .grants.privileged .grants.capabilities }}[]{{ else }}[ALL]{{ end }}
readOnlyRootFilesystem: true
runAsUser:
  type: RunAsAny
seLinuxContext:
  type: RunAsAny
fsGroup:
  type: RunAsAny
supplementalGroups:
  type: RunAsAny
seccompProfiles: [runtime/default]
volumes: [configMap, hostPath, projected]
users:
  - system:serviceaccount:{{ .root.Release.Namespace }}:{{ include "nodeplug.serviceAccountName" . }}
groups: []
{{- end -}}

{{- define "nodeplug.networkPolicy" -}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "nodeplug.metadata" . }}
spec:
  podSelector:
    matchLabels:
      {{- include "nodeplug.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if include "nodeplug.serves" . }}
  ingress:
    - ports:
        - port: metrics
          protocol: TCP
      {{- with .values.networkPolicy.from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- end }}
  {{- if .grants.rights }}
  egress:
    - ports:
        {{- range .values.networkPolicy.apiServerPorts }}
        - port: {{ int . }}
          protocol: TCP
        {{- end }}
  {{- end }}
{{- end -}}

{{- define "nodeplug.podMonitor" -}}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "nodeplug.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "nodeplug.labels" . | nindent 4 }}
    {{- with .values.podMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  jobLabel: app.kubernetes.io/part-of
  selector:
    matchLabels:
      {{- include "nodeplug.selectorLabels" . | nindent 6 }}
  podMetricsEndpoints:
    - port: metrics
      interval: {{ .values.podMonitor.interval }}
{{- end -}}
