// Generated from manifests/static-pod by scripts/manifests.ts.
export const tree = `# The agent as a static pod: kubelet starts it from a file, so that it needs no API server to come up. Expects
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
      image: registry.example/fairlead@sha256:0000000000000000000000000000000000000000000000000000000000000000
      imagePullPolicy: IfNotPresent
      # --reuse-port: an installer's agent can serve beside this one before it replaces it.
      args: [ run, --config, /etc/fairlead/config.yaml, --reuse-port ]
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
          drop: [ ALL ]
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
`;
