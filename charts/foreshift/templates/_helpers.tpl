{{- define "foreshift.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Prefix of every object's name: the release's name when that already says what it is. */}}
{{- define "foreshift.fullname" -}}
{{- $name := include "foreshift.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "foreshift.operator" -}}{{ include "foreshift.fullname" . }}-operator{{- end -}}
{{- define "foreshift.trainer" -}}{{ include "foreshift.fullname" . }}-trainer{{- end -}}
{{- define "foreshift.agent" -}}{{ include "foreshift.fullname" . }}-node-agent{{- end -}}
{{- define "foreshift.router" -}}{{ include "foreshift.fullname" . }}-entry-router{{- end -}}

{{- define "foreshift.models" -}}
{{- .Values.model.existingConfigMap | default (printf "%s-models" (include "foreshift.fullname" .)) -}}
{{- end -}}

{{/* Name of the claim that holds the history; empty where it is in the pod's own disk, or none is kept. */}}
{{- define "foreshift.historyClaim" -}}
{{- with .Values.history -}}
{{- if and .enabled .persistence.enabled -}}
{{- .persistence.existingClaim | default (printf "%s-history" (include "foreshift.fullname" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels; the argument is (list . "component"). */}}
{{- define "foreshift.labels" -}}
{{- $root := index . 0 -}}
{{ include "foreshift.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: foreshift
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "foreshift.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "foreshift.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Reference of an image; the argument is (list . image). */}}
{{- define "foreshift.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* PodSecurity "restricted", for the pod. */}}
{{- define "foreshift.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* PodSecurity "restricted", for the container. */}}
{{- define "foreshift.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Probes against the admin port. Liveness is patient: a restart loses history and helps against little. */}}
{{- define "foreshift.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}
