{{- define "nodeplug.daemonSet" -}}
---
apiVersion: apps/v1
kind: DaemonSet
{{ include "nodeplug.metadata" . }}
spec:
  selector:
    matchLabels:
      {{- include "nodeplug.selectorLabels" . | nindent 6 }}
  updateStrategy:
    {{- toYaml (.values.updateStrategy | default (include "nodeplug.updateStrategy" . | fromYaml)) | nindent 4 }}
  template:
    metadata:
      labels:
        {{- include "nodeplug.selectorLabels" . | nindent 8 }}
        app.kubernetes.io/part-of: nodeplug
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # The agent takes over everything else of its configuration while it runs.
        nodeplug-read-once: {{ include "nodeplug.readOnce" . | quote }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "nodeplug.podSpec" . | nindent 6 }}
{{- end -}}

{{/* In the host's network two pods would have one port. */}}
{{- define "nodeplug.updateStrategy" -}}
type: RollingUpdate
rollingUpdate:
  {{- if .grants.hostNetwork }}
  maxUnavailable: 1
  {{- else }}
  maxSurge: 1
  maxUnavailable: 0
  {{- end }}
{{- end -}}

{{- define "nodeplug.podSpec" -}}
serviceAccountName: {{ include "nodeplug.serviceAccountName" . }}
automountServiceAccountToken: {{ not (empty .grants.rights) }}
enableServiceLinks: false
terminationGracePeriodSeconds: 10
{{- with include "nodeplug.pullSecrets" . | fromJsonArray }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .place.runtimeClassName | default .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- if .grants.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with merge (dict) (.place.nodeSelector | default dict) .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $removed := include "nodeplug.tolerated" . | fromJsonArray }}
{{- with concat .values.tolerations (.place.tolerations | default list) $removed | uniq }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "nodeplug.affinity" . | fromJson }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  seccompProfile:
    type: RuntimeDefault
containers:
  - {{ include "nodeplug.container" . | nindent 4 | trim }}
volumes:
  - name: config
    configMap:
      name: {{ include "nodeplug.name" . }}
  {{- range $number, $path := keys .grants.mounts | sortAlpha }}
  - name: host-{{ $number }}
    hostPath:
      path: {{ $path | quote }}
      {{- if or (has $path (list "/dev" "/sys" "/proc")) (hasPrefix "/var/lib/kubelet/" $path) }}
      type: Directory
      {{- else if not (index $.grants.mounts $path).readOnly }}
      type: DirectoryOrCreate
      {{- end }}
  {{- end }}
{{- end -}}

{{/* The taints that the agent takes away, of whatever effect: it must start before they are gone. */}}
{{- define "nodeplug.tolerated" -}}
{{- $tolerations := list -}}
{{- range (include "nodeplug.writes" . | fromJson).taints -}}
{{- $tolerations = append $tolerations (dict "key" . "operator" "Exists") -}}
{{- end -}}
{{- toJson $tolerations -}}
{{- end -}}

{{- define "nodeplug.container" -}}
name: nodeplug
image: {{ include "nodeplug.image" . | quote }}
imagePullPolicy: {{ (.place.image | default dict).pullPolicy | default .values.image.pullPolicy }}
args:
  - run
  {{- range .backends }}
  - --backend={{ . }}
  {{- end }}
  - --config=/etc/nodeplug/nodeplug.yaml
env:
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  - name: NODEPLUG_INSTALLATION
    value: {{ printf "%s/%s" .root.Release.Namespace .root.Release.Name | quote }}
  {{- with .values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
securityContext:
  {{- include "nodeplug.securityContext" . | nindent 2 }}
resources:
  {{- toYaml (.place.resources | default .values.resources) | nindent 2 }}
# Not below /dev, which may be the host's.
terminationMessagePath: /run/nodeplug-end
terminationMessagePolicy: FallbackToLogsOnError
{{- if include "nodeplug.serves" . }}
ports:
  - name: metrics
    containerPort: {{ include "nodeplug.port" . }}
# The others wait for it; an agent that is not yet up is nothing to warn of.
startupProbe:
  {{- include "nodeplug.probe" (dict "agent" . "path" "/healthz") | nindent 2 }}
  initialDelaySeconds: 3
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  {{- include "nodeplug.probe" (dict "agent" . "path" "/healthz") | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- include "nodeplug.probe" (dict "agent" . "path" "/readyz") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/nodeplug
    readOnly: true
  {{- $mounts := .grants.mounts }}
  {{- range $number, $path := keys $mounts | sortAlpha }}
  {{- $mount := index $mounts $path }}
  - name: host-{{ $number }}
    mountPath: {{ $path | quote }}
    {{- if $mount.readOnly }}
    readOnly: true
    {{- end }}
    {{- if $mount.propagation }}
    mountPropagation: HostToContainer
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "nodeplug.securityContext" -}}
{{- $admin := or .grants.privileged (has "SYS_ADMIN" .grants.capabilities) -}}
runAsUser: 0
runAsGroup: 0
readOnlyRootFilesystem: true
# The API server refuses false beside what allows it anyway.
allowPrivilegeEscalation: {{ $admin }}
privileged: {{ .grants.privileged }}
capabilities:
  drop: [ALL]
  {{- with .grants.capabilities }}
  add: {{ toJson . }}
  {{- end }}
{{- with .values.seLinuxType }}
seLinuxOptions:
  type: {{ . }}
{{- end }}
{{- end -}}

{{/* The pool's or the chart's affinity, and besides the label that says that there is hardware. */}}
{{- define "nodeplug.affinity" -}}
{{- $affinity := deepCopy (.place.affinity | default .values.affinity) -}}
{{- if (.values.nodeFeatureDiscovery | default dict).affinity -}}
{{- $there := dict "key" (include "nodeplug.featureLabel" .) "operator" "In" "values" (list "true") -}}
{{- $node := $affinity.nodeAffinity | default dict -}}
{{- $required := $node.requiredDuringSchedulingIgnoredDuringExecution | default dict -}}
{{- $terms := list -}}
{{- range ($required.nodeSelectorTerms | default (list dict)) -}}
{{- $expressions := append (.matchExpressions | default list) $there -}}
{{- $terms = append $terms (merge (dict "matchExpressions" $expressions) .) -}}
{{- end -}}
{{- $required = dict "nodeSelectorTerms" $terms -}}
{{- $node = merge (dict "requiredDuringSchedulingIgnoredDuringExecution" $required) $node -}}
{{- $affinity = merge (dict "nodeAffinity" $node) $affinity -}}
{{- end -}}
{{- toJson $affinity -}}
{{- end -}}
