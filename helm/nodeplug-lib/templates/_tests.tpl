{{/*
For `helm test`: a pod says what is short and why; then a pod for each resource named, on each node
named, asks for devices and looks at what it got.
*/}}
{{- define "nodeplug.tests" -}}
{{- $agent := . -}}
{{- if and .values.test.resources .values.rbac.create }}
{{ include "nodeplug.testRights" . }}
---
{{ include "nodeplug.testPod" (dict "agent" . "name" "test" "weight" "-1" "account" true) }}
      args:
        - shortage
        {{- range .values.test.resources }}
        - {{ printf "%s=%d" .resource (int (.count | default 1)) | quote }}
        {{- end }}
        - --namespace={{ .root.Release.Namespace }}
        - {{ printf "--selector=app.kubernetes.io/instance=%s,app.kubernetes.io/component=agent,app.kubernetes.io/name in (%s,combined)" .root.Release.Name .component | quote }}
        {{- range .values.test.nodes }}
        - {{ printf "--node=%s" . | quote }}
        {{- end }}
        {{- if .values.test.everyNode }}
        - --every-node
        {{- end }}
{{- end }}
{{- range $number, $test := .values.test.resources }}
{{- range $place, $node := $agent.values.test.nodes | default (list "") }}
---
{{ include "nodeplug.testPod" (dict "agent" $agent "name" (printf "test-%d%s" $number (ternary (printf "-%d" $place) "" (ne $node ""))) "weight" "0" "node" $node) }}
      args:
        - show-container
        {{- range $test.paths }}
        - {{ printf "--path=%s" . | quote }}
        {{- end }}
        {{- range $test.env }}
        - {{ printf "--env=%s" . | quote }}
        {{- end }}
      resources:
        limits:
          {{ $test.resource }}: {{ $test.count | default 1 | int }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "nodeplug.testMetadata" -}}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    app.kubernetes.io/instance: {{ .agent.root.Release.Name }}
    app.kubernetes.io/component: test
    app.kubernetes.io/part-of: nodeplug
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "nodeplug.testName" -}}
{{- printf "%s-%s-%s" (.agent.root.Release.Name | trunc 20 | trimSuffix "-") .agent.component .name -}}
{{- end -}}

{{/* What the pod that looks for shortages may do: read the nodes of agents, and the pods there. */}}
{{- define "nodeplug.testRights" -}}
{{- $name := include "nodeplug.testName" (dict "agent" . "name" "test") -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $cluster := dict "agent" . "name" (printf "%s-%s" $namespace $name) "weight" "-2" -}}
---
apiVersion: v1
kind: ServiceAccount
{{ include "nodeplug.testMetadata" (dict "agent" . "name" $name "weight" "-2" "namespace" $namespace) }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
{{ include "nodeplug.testMetadata" $cluster }}
rules:
  - apiGroups: [""]
    resources: [nodes]
    verbs: [get]
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
{{ include "nodeplug.testMetadata" $cluster }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $cluster.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $namespace }}
{{- end -}}

{{/* A pod up to the arguments of its container. */}}
{{- define "nodeplug.testPod" -}}
{{- $agent := .agent -}}
{{- $name := include "nodeplug.testName" . -}}
apiVersion: v1
kind: Pod
{{ include "nodeplug.testMetadata" (merge (dict "name" $name "namespace" $agent.root.Release.Namespace) .) }}
spec:
  restartPolicy: Never
  {{- if .account }}
  serviceAccountName: {{ $name }}
  {{- end }}
  automountServiceAccountToken: {{ .account | default false }}
  {{- with .node }}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchFields:
              - {key: metadata.name, operator: In, values: [{{ . | quote }}]}
  {{- end }}
  {{- if $agent.values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with include "nodeplug.pullSecrets" $agent | fromJsonArray }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  tolerations:
    - operator: Exists
  containers:
    - name: test
      image: {{ $agent.values.test.image | default (include "nodeplug.image" (merge (dict "place" dict) $agent)) | quote }}
      imagePullPolicy: {{ $agent.values.image.pullPolicy }}
      terminationMessagePolicy: FallbackToLogsOnError
      securityContext:
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
        seccompProfile:
          type: RuntimeDefault
{{- end -}}
