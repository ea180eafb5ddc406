{{/*
What the agent's account may write, whatever its roles say: a role cannot tell one node from
another. Kubernetes puts the node of the pod into its token.
*/}}
{{- define "nodeplug.policies" -}}
{{- $agent := merge (dict "writes" (include "nodeplug.writes" . | fromJson)) . -}}
{{- if $agent.writes.fields }}
{{ include "nodeplug.nodePolicy" $agent }}
{{- end }}
{{- if $agent.writes.events }}
{{ include "nodeplug.eventPolicy" $agent }}
{{- end }}
{{- end -}}

{{- define "nodeplug.nodePolicy" -}}
{{- $fields := concat (list "metadata.managedFields" "metadata.resourceVersion") .writes.fields -}}
{{ include "nodeplug.policyOf" (dict "agent" . "name" "nodes" "resources" (list "nodes" "nodes/*")) }}
    - message: the agent writes to its own node only
      reason: Forbidden
      expression: request.operation == 'UPDATE' && request.name == variables.node
    - message: of its node the agent changes {{ join " and " .writes.fields }} only
      reason: Forbidden
      expression: >-
        ['metadata', 'spec', 'status'].all(part,
        [dyn(object), dyn(oldObject)].all(side, side[?part].orValue({}).all(key,
        (part + '.' + key) in {{ toJson $fields }} ||
        dyn(object)[?part][?key] == dyn(oldObject)[?part][?key])))
    - message: of taints the agent removes {{ join ", " .writes.taints | default "none" }} only
      reason: Forbidden
      expression: >-
        object.spec.?taints.orValue([]).all(taint, taint in oldObject.spec.?taints.orValue([])) &&
        oldObject.spec.?taints.orValue([]).all(taint, taint.key in {{ toJson .writes.taints }} ||
        taint in object.spec.?taints.orValue([]))
    - message: of conditions the agent writes {{ join ", " .writes.conditions | default "none" }} only
      reason: Forbidden
      expression: >-
        [[object, oldObject], [oldObject, object]].all(sides,
        sides[0].status.?conditions.orValue([]).all(condition,
        condition.type in {{ toJson .writes.conditions }} ||
        condition in sides[1].status.?conditions.orValue([])))
{{- end -}}

{{- define "nodeplug.eventPolicy" -}}
{{ include "nodeplug.policyOf" (dict "agent" . "name" "events" "resources" (list "events")) }}
    - message: the agent writes its own Events of its own node only
      reason: Forbidden
      expression: >-
        request.operation in ['CREATE', 'UPDATE'] &&
        [object, oldObject].all(event, event == null || (event.involvedObject.kind == 'Node' &&
        event.involvedObject.name == variables.node &&
        event.?source.?component.orValue('') == 'nodeplug'))
{{- end -}}

{{/* A policy's binding, and the policy up to its first validation. */}}
{{- define "nodeplug.policyOf" -}}
{{- $name := printf "%s-%s" (include "nodeplug.clusterName" .agent) .name -}}
{{- $account := printf "%s:%s" .agent.root.Release.Namespace (include "nodeplug.serviceAccountName" .agent) -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "nodeplug.labels" .agent | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name }}
  labels:
    {{- include "nodeplug.labels" .agent | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: ["*"]
        operations: ["*"]
        resources: {{ toJson .resources }}
  matchConditions:
    - name: agent
      expression: request.userInfo.username == 'system:serviceaccount:{{ $account }}'
  variables:
    - name: node
      expression: request.userInfo.?extra[?'authentication.kubernetes.io/node-name'][?0].orValue('')
  validations:
    - message: the token does not say on which node its pod is
      reason: Forbidden
      expression: variables.node != ''
{{- end -}}

{{/* What the agent writes, be it only where an override says so, as JSON. */}}
{{- define "nodeplug.writes" -}}
{{- $backends := .backends -}}
{{- $events := false -}}
{{- $taints := list -}}{{- $conditions := list -}}{{- $fields := list -}}
{{- range (prepend (.config.nodes | default list) (dict "config" .config)) -}}
{{- with (.config | default dict).cluster -}}
{{- $events = or $events (.events | default false) -}}
{{- $taints = append $taints (.removeTaint | default "") | compact | uniq -}}
{{- if .condition -}}
{{- $conditions = append $conditions "NodeplugReady" -}}
{{- range $backends -}}
{{- $conditions = append $conditions (printf "Nodeplug%sReady" (replace "_" " " . | title | nospace)) | uniq -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $taints -}}{{- $fields = append $fields "spec.taints" -}}{{- end -}}
{{- if $conditions -}}{{- $fields = append $fields "status.conditions" -}}{{- end -}}
{{- dict "events" $events "taints" $taints "conditions" $conditions "fields" $fields | toJson -}}
{{- end -}}
