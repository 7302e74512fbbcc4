{{- define "portreeve.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "portreeve.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portreeve.labels" -}}
{{ include "portreeve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "portreeve.account" -}}
{{- .Values.serviceAccount.name | default (include "portreeve.name" .) -}}
{{- end -}}

{{- /* Keys with their values. Text, numbers, truth and lists are written in TOML as in JSON. */ -}}
{{- define "portreeve.keys" -}}
{{- range $key, $value := . }}
{{ $key }} = {{ mustToRawJson $value }}
{{- end }}
{{- end -}}

{{- define "portreeve.toml" -}}
[gateway]
{{- include "portreeve.keys" .Values.config.gateway }}
api = "/run/portreeve/api.sock"
pin_dir = {{ printf "%s/portreeve" .Values.bpffs | toJson }}
{{- with .Values.metrics }}
{{- if .enabled }}
{{- $address := ternary (printf "[%s]" .address) .address (contains ":" .address) }}
metrics = "{{ $address }}:{{ .port }}"
{{- end }}
{{- end }}
{{- range $name, $section := omit .Values.config "gateway" }}

[{{ $name }}]
{{- include "portreeve.keys" $section }}
{{- end }}
{{- range .Values.ports }}

[[port]]
{{- if kindIs "string" . }}
name = {{ toJson . }}
{{- else }}
{{- include "portreeve.keys" . }}
{{- end }}
{{- end }}
{{- with .Values.extraConfig }}

{{ . | trimSuffix "\n" }}
{{- end }}
{{- end -}}
