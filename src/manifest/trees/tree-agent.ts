// Generated from manifests/daemonset-agent by scripts/manifests.ts.
export const tree = `# Where everything of Fairlead lives. The pods use the node's network (clients of the node's loopback must reach them)
# and directories of the node (credentials, cache), which the Pod Security Standards allow in \`privileged\`
# namespaces only. The agents run without any capability; the installer has one, to write in other users' directories.
apiVersion: v1
kind: Namespace
metadata:
  name: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
    pod-security.kubernetes.io/enforce: privileged
    pod-security.kubernetes.io/audit: privileged
    pod-security.kubernetes.io/warn: privileged
---
# EndpointSlices of the namespace \`default\`, where the \`kubernetes\` service lives. Names cannot narrow it: a
# dual-stack cluster has a second slice under another name.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fairlead
  namespace: default
  labels:
    app.kubernetes.io/name: fairlead
rules:
  - apiGroups: [ discovery.k8s.io ]
    resources: [ endpointslices ]
    verbs: [ list, watch ]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: fairlead
  namespace: default
  labels:
    app.kubernetes.io/name: fairlead
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: fairlead
subjects:
  # An agent that runs with kubelet's client certificate. The node authorizer has no opinion on EndpointSlices.
  - kind: Group
    apiGroup: rbac.authorization.k8s.io
    name: system:nodes
  # An agent that runs in a pod with a ServiceAccount.
  - kind: ServiceAccount
    name: fairlead
    namespace: fairlead-system
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: fairlead
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
# The pod that needs the token says so itself.
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: fairlead-agent
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
    app.kubernetes.io/component: daemonset-agent
  annotations:
    fairlead/note: Must not be kubelet's only address; a node without an API server cannot start this pod.
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: fairlead
      app.kubernetes.io/component: daemonset-agent
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      # The old pod stops first because both use the same address. Clients are refused until the new one has started.
      maxUnavailable: 10%
  template:
    metadata:
      labels:
        app.kubernetes.io/name: fairlead
        app.kubernetes.io/component: daemonset-agent
      annotations:
        fairlead/note: Must not be kubelet's only address; a node without an API server cannot start this pod.
    spec:
      # Clients use the node's loopback address.
      hostNetwork: true
      dnsPolicy: Default
      priorityClassName: system-node-critical
      serviceAccountName: fairlead
      automountServiceAccountToken: true
      enableServiceLinks: false
      # Longer than shutdown.grace, so that tunnels may finish.
      terminationGracePeriodSeconds: 45
      nodeSelector:
        kubernetes.io/os: linux
      # Every node has clients. Use an overlay to exclude nodes.
      tolerations:
        - operator: Exists
      securityContext:
        runAsNonRoot: true
        runAsUser: 60643
        runAsGroup: 60643
        fsGroup: 60643
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: fairlead
          image: registry.example/fairlead@sha256:0000000000000000000000000000000000000000000000000000000000000000
          imagePullPolicy: IfNotPresent
          args: [ run, --config, /etc/fairlead/config.yaml ]
          env:
            - name: NODE_NAME
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
            # Keeps \`fairlead kubeconfig point\` from pointing kubelet at this agent.
            - name: FAIRLEAD_DEPLOYMENT
              value: daemonset
            # For \`fairlead status\` in the container: the address that the probes below ask.
            - name: FAIRLEAD_ADMIN
              value: 127.0.0.1:7442
          resources:
            requests:
              # docs/performance.md: under 40 MiB of its own under load, and its share of Node's binary.
              cpu: 20m
              memory: 80Mi
          startupProbe:
            httpGet: { host: 127.0.0.1, port: 7442, path: /livez }
            periodSeconds: 1
            timeoutSeconds: 2
            failureThreshold: 60
          # A hung agent is replaced within 25 s: 5 x 3 s + 2 s, the grace of 5 s, and the start. One that gets no CPU for less
          # than 14 s (4 x 3 s + 2 s) is left alone: a restart resets every connection of the node.
          livenessProbe:
            httpGet: { host: 127.0.0.1, port: 7442, path: /livez }
            periodSeconds: 3
            timeoutSeconds: 2
            failureThreshold: 5
            # Instead of the pod's 45 s, which are for tunnels; a hung agent relays none.
            terminationGracePeriodSeconds: 5
          readinessProbe:
            httpGet: { host: 127.0.0.1, port: 7442, path: /readyz }
            periodSeconds: 5
            timeoutSeconds: 2
          securityContext:
            privileged: false
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ ALL ]
          volumeMounts:
            - { name: config, mountPath: /etc/fairlead, readOnly: true }
            - { name: state, mountPath: /var/lib/fairlead }
      volumes:
        - name: config
          configMap:
            name: fairlead-agent-b4fk4mh5m9
        # Stays with the pod, over restarts and reboots.
        - name: state
          emptyDir:
            sizeLimit: 16Mi
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: fairlead-agent-b4fk4mh5m9
  namespace: fairlead-system
data:
  config.yaml: |
    # One API server that answers is enough; the others are discovered. Not the ClusterIP: it needs kube-proxy, which may
    # be one of the clients.
    endpoints:
      - 10.0.0.11:6443
    # Beside a static pod's 6443 and 6442.
    listeners:
      - 127.0.0.1:7443
      - address: "[::1]:7443"
        optional: true
    admin: 127.0.0.1:7442
    discovery:
      cacheFile: /var/lib/fairlead/endpoints.json
`;
