{{- define "tidegate.labels" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* What the controller may do in a namespace that it serves. Each verb is used; the end-to-end suite runs with exactly these. */ -}}
{{- define "tidegate.rules" -}}
- apiGroups: [tidegate.dev]
  resources: [rollouts, applications, analysistemplates, appprojects]
  verbs: [get, list, watch]
- apiGroups: [tidegate.dev]
  resources: [rollouts, applications]
  verbs: [patch]
- apiGroups: [tidegate.dev]
  resources: [analysisruns]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [tidegate.dev]
  resources: [rollouts/status, applications/status, analysisruns/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion ask for these.
- apiGroups: [tidegate.dev]
  resources: [rollouts/finalizers, applications/finalizers, analysisruns/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch, create, patch, delete]
# What workloadRef may name; a Deployment is scaled down when its Rollout says so.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [podtemplates]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [traefik.io]
  resources: [ingressroutes, serverstransports, traefikservices]
  verbs: [get, list, watch, create, patch, delete]
# By name, when a repository or a metric names one: never listed, never watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "tidegate.impersonation" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: {{ toJson .Values.sync.impersonate }}
  verbs: [impersonate]
{{- end }}
