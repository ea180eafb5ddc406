{{/* For `helm test`: a pod for each resource named asks for devices and looks at what it got. */}}
{{- define "nodeplug.tests" -}}
{{- $agent := . -}}
{{- range $number, $test := .values.test.resources }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ printf "%s-%s-test-%d" ($agent.root.Release.Name | trunc 20 | trimSuffix "-") $agent.component $number }}
  namespace: {{ $agent.root.Release.Namespace }}
  labels:
    app.kubernetes.io/instance: {{ $agent.root.Release.Name }}
    app.kubernetes.io/component: test
    app.kubernetes.io/part-of: nodeplug
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
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
      securityContext:
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
        seccompProfile:
          type: RuntimeDefault
{{- end }}
{{- end -}}
