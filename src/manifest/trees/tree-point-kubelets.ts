// Generated from manifests/installer-point-kubelets by scripts/manifests.ts.
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
# What the installers of all nodes may write: a report for each node, and whose turn it is. It is apart from
# fairlead-system, where the files are that they write as root: a compromised node can only report wrong states for others.
apiVersion: v1
kind: Namespace
metadata:
  name: fairlead-reports
  labels:
    app.kubernetes.io/name: fairlead
    # No pod belongs here.
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
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
# What the installer asks of the API: the list of API servers, its own pod (for the image), and, in a namespace of their
# own, a report for each node, whether pointing was halted, and Leases to take turns by. Every worker holds this token: it
# may change nothing that an installer reads as its instructions.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: fairlead-installer
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fairlead-installer
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
rules:
  - apiGroups: [ "" ]
    resources: [ pods ]
    verbs: [ get ]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: fairlead-installer
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: fairlead-installer
subjects:
  - kind: ServiceAccount
    name: fairlead-installer
    namespace: fairlead-system
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fairlead-installer
  namespace: fairlead-reports
  labels:
    app.kubernetes.io/name: fairlead
rules:
  - apiGroups: [ "" ]
    resources: [ configmaps ]
    verbs: [ get, create, patch, delete ]
  - apiGroups: [ coordination.k8s.io ]
    resources: [ leases ]
    verbs: [ get, create, update ]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: fairlead-installer
  namespace: fairlead-reports
  labels:
    app.kubernetes.io/name: fairlead
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: fairlead-installer
subjects:
  - kind: ServiceAccount
    name: fairlead-installer
    namespace: fairlead-system
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: fairlead-installer
  namespace: default
  labels:
    app.kubernetes.io/name: fairlead
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: fairlead
subjects:
  - kind: ServiceAccount
    name: fairlead-installer
    namespace: fairlead-system
---
# One installer a worker. It runs the image that the static pod will run, so that kubelet has pulled it, with this
# pod's pull secrets, before the manifest is written: a static pod cannot wait for an image.
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: fairlead-installer
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
    app.kubernetes.io/component: installer
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: fairlead
      app.kubernetes.io/component: installer
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      # A pod is ready when its installer found the agent that it wants serving: an update that does not serve goes no
      # further. A share and not one
      # node, as nodes that are down count as unavailable: one would stop every update, and the removal.
      maxUnavailable: 10%
  minReadySeconds: 10
  template:
    metadata:
      labels:
        app.kubernetes.io/name: fairlead
        app.kubernetes.io/component: installer
      annotations:
        # What the field below says, for API servers before 1.30.
        container.apparmor.security.beta.kubernetes.io/fairlead: unconfined
    spec:
      serviceAccountName: fairlead-installer
      # Asks the agent on the node's own loopback, and is asked there by kubelet.
      hostNetwork: true
      dnsPolicy: Default
      priorityClassName: system-node-critical
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      # Workers only: the clients of a control-plane node use the API server beside them.
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  - { key: kubernetes.io/os, operator: In, values: [ linux ] }
                  - { key: node-role.kubernetes.io/control-plane, operator: DoesNotExist }
                  - { key: node-role.kubernetes.io/master, operator: DoesNotExist }
      tolerations:
        - operator: Exists
      securityContext:
        # Root, because the files of the node are root's.
        runAsUser: 0
        runAsGroup: 0
        seccompProfile:
          type: RuntimeDefault
        seLinuxOptions:
          type: spc_t
      containers:
        - name: fairlead
          image: registry.example/fairlead@sha256:0000000000000000000000000000000000000000000000000000000000000000
          imagePullPolicy: IfNotPresent
          args:
            - install
            - --ready-address=127.0.0.1:6438
            - --root=/host
            - --config=/etc/fairlead-install/config.yaml
            - --watch
            - --point-kubelets
            - '1'
          env:
            - name: NODE_NAME
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
          resources:
            requests:
              cpu: 10m
              memory: 64Mi
          readinessProbe:
            # The installer itself, not the agent: before an update the old agent serves as well.
            httpGet: { host: 127.0.0.1, port: 6438, path: /readyz }
            periodSeconds: 5
            timeoutSeconds: 2
          securityContext:
            privileged: false
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ ALL ]
              # Root alone may not write where a directory is another user's: Kubespray gives /etc/kubernetes and its
              # manifests to the user kube.
              add: [ DAC_OVERRIDE, CHOWN, FOWNER ]
            appArmorProfile:
              type: Unconfined
          volumeMounts:
            - { name: dbus, mountPath: /host/run/dbus }
            - { name: config, mountPath: /etc/fairlead-install, readOnly: true }
            # What it writes, below --root. No link of the node leads out of these.
            - { name: kubernetes, mountPath: /host/etc/kubernetes }
            - { name: agent-config, mountPath: /host/etc/fairlead }
            - { name: agent-state, mountPath: /host/var/lib/fairlead }
            # Its own notes, root's alone: the agent does not mount them.
            - { name: installer-state, mountPath: /host/var/lib/fairlead-installer }
            # tcp_migrate_req, while one agent hands its port to the next.
            - { name: sysctl, mountPath: /host/proc/sys/net/ipv4 }
            # Where kubelet takes static pods from (config.yaml). With propagation, or volumes of other pods could not be
            # unmounted while this pod is there.
            - { name: kubelet, mountPath: /host/var/lib/kubelet, readOnly: true, mountPropagation: HostToContainer }
            # Whether a kubeconfig there names the agent.
            - { name: root-kube, mountPath: /host/root/.kube, readOnly: true }
      volumes:
        - name: dbus
          hostPath: { path: /run/dbus, type: DirectoryOrCreate }
        - name: config
          configMap: { name: fairlead-install-5gkgchb629 }
        - name: kubernetes
          hostPath: { path: /etc/kubernetes, type: Directory }
        - name: agent-config
          hostPath: { path: /etc/fairlead, type: DirectoryOrCreate }
        - name: agent-state
          hostPath: { path: /var/lib/fairlead, type: DirectoryOrCreate }
        - name: installer-state
          hostPath: { path: /var/lib/fairlead-installer, type: DirectoryOrCreate }
        - name: sysctl
          hostPath: { path: /proc/sys/net/ipv4, type: Directory }
        - name: kubelet
          hostPath: { path: /var/lib/kubelet, type: Directory }
        - name: root-kube
          hostPath: { path: /root/.kube, type: DirectoryOrCreate }
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: fairlead-install-5gkgchb629
  namespace: fairlead-system
immutable: true
data:
  config.yaml: |
    # The configuration of every agent. \`fairlead config print\` shows every other setting. No API server has to be named:
    # the installer asks the API for them and gives each agent the list to start with.
    credentials:
      # Gives the cluster's CA and the node's client certificate; its own server address may be Fairlead's.
      kubeconfig: /etc/kubernetes/kubelet.conf
    discovery:
      cacheFile: /var/lib/fairlead/endpoints.json
  static-pod.yaml: |
    # The agent as a static pod: kubelet starts it from a file, so that it needs no API server to come up. Expects
    # /etc/fairlead/config.yaml on the node (config.yaml beside this file is one).
    apiVersion: v1
    kind: Pod
    metadata:
      name: fairlead
      namespace: fairlead-system
      labels:
        app.kubernetes.io/name: fairlead
        app.kubernetes.io/component: static-pod
      annotations:
        # sha256sum of the configuration. Another value restarts the pod; only settings that take effect at a restart need it.
        fairlead/config-checksum: none
    spec:
      hostNetwork: true
      dnsPolicy: Default
      # Admission does not see static pods, so the number is set next to the name.
      priorityClassName: system-node-critical
      priority: 2000001000
      automountServiceAccountToken: false
      enableServiceLinks: false
      # Longer than shutdown.grace, so that tunnels may finish.
      terminationGracePeriodSeconds: 45
      securityContext:
        # Root, because kubelet's client key is readable by root only; without any capability.
        # static-pod-nonroot has its own certificate and is not root.
        runAsUser: 0
        runAsGroup: 0
        seccompProfile:
          type: RuntimeDefault
        # With SELinux, containers of other types cannot read the node's files. Without SELinux this has no effect.
        seLinuxOptions:
          type: spc_t
      containers:
        - name: fairlead
          image: fairlead
          imagePullPolicy: IfNotPresent
          # --reuse-port: an installer's agent can serve beside this one before it replaces it.
          args: [run, --config, /etc/fairlead/config.yaml, --reuse-port]
          env:
            - name: NODE_NAME
              valueFrom:
                fieldRef:
                  fieldPath: spec.nodeName
            # For \`fairlead status\` in the container: the address that the probes below ask.
            - name: FAIRLEAD_ADMIN
              value: 127.0.0.1:6442
          # No ports: a host port conflict would make admission fail permanently, but a failed bind is retried.
          resources:
            requests:
              # docs/performance.md: under 40 MiB of its own under load, and its share of Node's binary.
              cpu: 20m
              memory: 80Mi
          # A clean start takes 300 ms. The probes connect to the loopback address, which only this node can reach.
          startupProbe:
            httpGet: { host: 127.0.0.1, port: 6442, path: /livez }
            periodSeconds: 1
            timeoutSeconds: 2
            failureThreshold: 60
          # A hung agent is replaced within 25 s: 5 x 3 s + 2 s, the grace of 5 s, and the start. One that gets no CPU for less
          # than 14 s (4 x 3 s + 2 s) is left alone: a restart resets every connection of the node.
          livenessProbe:
            httpGet: { host: 127.0.0.1, port: 6442, path: /livez }
            periodSeconds: 3
            timeoutSeconds: 2
            failureThreshold: 5
            # Instead of the pod's 45 s, which are for tunnels; a hung agent relays none.
            terminationGracePeriodSeconds: 5
          readinessProbe:
            httpGet: { host: 127.0.0.1, port: 6442, path: /readyz }
            periodSeconds: 5
            timeoutSeconds: 2
          securityContext:
            privileged: false
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          # Directories, never single files: rotation replaces a file, and a mounted file would stay the old one.
          volumeMounts:
            - { name: config, mountPath: /etc/fairlead, readOnly: true }
            - { name: state, mountPath: /var/lib/fairlead }
            - { name: kubernetes, mountPath: /etc/kubernetes, readOnly: true }
            - { name: kubelet-pki, mountPath: /var/lib/kubelet/pki, readOnly: true }
      volumes:
        - name: config
          hostPath: { path: /etc/fairlead, type: Directory }
        - name: state
          hostPath: { path: /var/lib/fairlead, type: DirectoryOrCreate }
        - name: kubernetes
          hostPath: { path: /etc/kubernetes, type: Directory }
        # kubelet's client certificate: a symlink that moves at each rotation.
        - name: kubelet-pki
          hostPath: { path: /var/lib/kubelet/pki, type: Directory }
---
# To see that kubelet's Lease is renewed after the change.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fairlead-installer
  namespace: kube-node-lease
  labels:
    app.kubernetes.io/name: fairlead
rules:
  - apiGroups: [ coordination.k8s.io ]
    resources: [ leases ]
    verbs: [ get ]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: fairlead-installer
  namespace: kube-node-lease
  labels:
    app.kubernetes.io/name: fairlead
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: fairlead-installer
subjects:
  - kind: ServiceAccount
    name: fairlead-installer
    namespace: fairlead-system
`;
