{{/* The name of a part: RELEASE-PART. Takes (list . "part"). */}}
{{- define "everleaf.name" -}}
{{- $root := index . 0 -}}{{- $part := index . 1 -}}
{{- printf "%s-%s" $root.Release.Name $part | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "everleaf.selector" -}}
{{- $root := index . 0 -}}{{- $part := index . 1 -}}
app.kubernetes.io/name: everleaf
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ $part }}
{{- end -}}

{{- define "everleaf.labels" -}}
{{- $root := index . 0 -}}
{{ include "everleaf.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "everleaf.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What a container may do: next to nothing. */}}
{{- define "everleaf.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "everleaf.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Settings of a service, or of the job that migrates them all. Takes (list . "service" migrates). */}}
{{- define "everleaf.database" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $migrates := index . 2 -}}
{{- $prefix := printf "EVERLEAF_%s" (upper $name) -}}
{{- $role := printf "everleaf_%s%s" $name (ternary "_migrate" "" $migrates) -}}
- {name: {{ $prefix }}_DATABASE_URL, value: "postgresql://{{ $role }}@{{ $root.Values.databases.host }}:{{ $root.Values.databases.port }}/everleaf_{{ $name }}"}
- {name: {{ $prefix }}_DATABASE_PASSWORD_FILE, value: /etc/everleaf/secrets/db-{{ $name }}{{ ternary "-migrate" "" $migrates }}}
- {name: {{ $prefix }}_DATABASE_TLS_CA, value: /etc/everleaf/tls/ca.pem}
- {name: {{ $prefix }}_DATABASE_TLS_CERTIFICATE, value: /etc/everleaf/tls/cert.pem}
- {name: {{ $prefix }}_DATABASE_TLS_KEY, value: /etc/everleaf/tls/key.pem}
{{- end -}}

{{- define "everleaf.settings" -}}
{{- $root := index . 0 -}}{{- $user := index . 1 -}}
- {name: EVERLEAF_DATA_DIR, value: /var/lib/everleaf}
- {name: EVERLEAF_KEK_FILE, value: /etc/everleaf/secrets/kek}
- {name: EVERLEAF_GATEWAY_URL, value: "https://{{ include "everleaf.name" (list $root "gateway") }}"}
- {name: EVERLEAF_GATEWAY_TLS_CA, value: /etc/everleaf/tls/ca.pem}
- {name: EVERLEAF_BUS_URL, value: "amqps://everleaf-{{ $user }}@{{ $root.Values.broker.host }}:{{ $root.Values.broker.port }}/{{ $root.Values.broker.vhost }}"}
- {name: EVERLEAF_BUS_PASSWORD_FILE, value: /etc/everleaf/secrets/bus-{{ $user }}}
- {name: EVERLEAF_BUS_TLS_CA, value: /etc/everleaf/tls/ca.pem}
- {name: EVERLEAF_BUS_TLS_CERTIFICATE, value: /etc/everleaf/tls/cert.pem}
- {name: EVERLEAF_BUS_TLS_KEY, value: /etc/everleaf/tls/key.pem}
- {name: EVERLEAF_BUS_DECLARES, value: {{ eq $user "migrate" | quote }}}
- {name: EVERLEAF_TLS_CERTIFICATE, value: /etc/everleaf/tls/cert.pem}
- {name: EVERLEAF_TLS_KEY, value: /etc/everleaf/tls/key.pem}
{{- range $name, $value := $root.Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* The certificate of a part, under the names that all parts know. */}}
{{- define "everleaf.tls" -}}
{{- $root := index . 0 -}}{{- $part := index . 1 -}}
secret:
  secretName: {{ $root.Values.secrets.tlsPrefix }}-{{ $part }}
  defaultMode: 0440
  items:
    - {key: tls.crt, path: cert.pem}
    - {key: tls.key, path: key.pem}
    - {key: ca.crt, path: ca.pem}
{{- end -}}
