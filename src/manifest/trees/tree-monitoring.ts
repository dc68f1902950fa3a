// Generated from manifests/monitoring by scripts/manifests.ts.
export const tree = `apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: fairlead
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: fairlead
  podMetricsEndpoints:
    # The pods declare no ports, so the address is put together from the annotation.
    - path: /metrics
      relabelings:
        - action: keep
          sourceLabels: [ __meta_kubernetes_pod_annotation_fairlead_metrics_port ]
          regex: \\d+
        - action: replace
          sourceLabels: [ __meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_fairlead_metrics_port ]
          regex: ([\\d.]+);(\\d+)
          targetLabel: __address__
          replacement: $1:$2
        - action: replace
          sourceLabels: [ __meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_fairlead_metrics_port ]
          regex: (.*:.*);(\\d+)
          targetLabel: __address__
          replacement: "[$1]:$2"
        - action: replace
          sourceLabels: [ __meta_kubernetes_pod_node_name ]
          targetLabel: node
---
# Each alert has a section in docs/runbooks.md: what it means, what to look at, what to do.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: fairlead
  namespace: fairlead-system
  labels:
    app.kubernetes.io/name: fairlead
spec:
  groups:
    - name: fairlead
      rules:
        - alert: FairleadNoUsableEndpoint
          # Two minutes: longer than the control plane's own restarts take.
          expr: fairlead_endpoints_usable == 0
          for: 2m
          labels:
            severity: critical
          annotations:
            summary: Fairlead on {{ $labels.node }} has no usable API server.
            description: >-
              Every API server that {{ $labels.instance }} knows has been unready or dead for two minutes. Fairlead still tries them, but clients of this node get an answer only by luck.
            runbook: docs/runbooks.md#fairleadnousableendpoint
        - alert: FairleadOneEndpointLeft
          # Of several: a cluster with one API server is not alarmed about every day. A dead one leaves the EndpointSlice
          # after 15 s, and is counted as gone unless another has come in its place.
          expr: >-
            fairlead_endpoints_usable == 1 and (sum without (tier) (fairlead_endpoints_known{tier!="remembered"}) > 1 or fairlead_endpoints_gone > 0)
          for: 5m
          labels:
            severity: warning
          annotations:
            summary: Fairlead on {{ $labels.node }} has one usable API server left.
            description: >-
              All API servers but one are unready, dead or no longer listed, seen from {{ $labels.instance }}, for five minutes. The next failure is an outage of this node.
            runbook: docs/runbooks.md#fairleadoneendpointleft
        - alert: FairleadDiscoveryStale
          # A watch in order is confirmed every minute. One that has never worked has no age, and does fail.
          expr: >-
            fairlead_discovery_age_seconds > 300 or (fairlead_discovery_watch_failures > 0 unless fairlead_discovery_age_seconds)
          for: 10m
          labels:
            severity: warning
          annotations:
            summary: Fairlead on {{ $labels.node }} no longer learns of API servers that come and go.
            description: >-
              The watch of the EndpointSlices of {{ $labels.instance }} has not worked for a while. The node is served by the API servers known so far; a new one is not used, and a removed one not forgotten.
            runbook: docs/runbooks.md#fairleaddiscoverystale
        - alert: FairleadServingCertificateExpires
          # A week, or the last tenth of a short life. All nodes see the same certificate: one alert for each endpoint.
          expr: >-
            min by (endpoint, pool) (fairlead_endpoint_certificate_not_after_timestamp_seconds) - time() < 604800 and min by (endpoint, pool) (fairlead_endpoint_certificate_not_after_timestamp_seconds) - time() < 0.1 * min by (endpoint, pool) (fairlead_endpoint_certificate_not_after_timestamp_seconds - fairlead_endpoint_certificate_not_before_timestamp_seconds)
          for: 1h
          labels:
            severity: warning
          annotations:
            summary: The serving certificate of {{ $labels.endpoint }} expires soon, or has expired.
            description: >-
              The certificate that {{ $labels.endpoint }} shows expires in {{ $value | humanizeDuration }}. From then on no client that verifies it can connect there.
            runbook: docs/runbooks.md#fairleadservingcertificateexpires
        - alert: FairleadClientCertificateExpires
          expr: >-
            fairlead_client_certificate_not_after_timestamp_seconds - time() < 604800 and fairlead_client_certificate_not_after_timestamp_seconds - time() < 0.1 * (fairlead_client_certificate_not_after_timestamp_seconds - fairlead_client_certificate_not_before_timestamp_seconds)
          for: 1h
          labels:
            severity: warning
          annotations:
            summary: The client certificate of Fairlead on {{ $labels.node }} expires soon, or has expired.
            description: >-
              The certificate that {{ $labels.instance }} shows to API servers expires in {{ $value | humanizeDuration }}. From then on it sees neither readiness nor new API servers. Where it is kubelet's, kubelet loses the API as well.
            runbook: docs/runbooks.md#fairleadclientcertificateexpires
        - alert: FairleadCAExpires
          expr: min by (pool) (fairlead_ca_certificate_not_after_timestamp_seconds) - time() < 7776000
          for: 1h
          labels:
            severity: warning
          annotations:
            summary: The CA that verifies the API servers expires in less than 90 days, or has expired.
            description: >-
              The last CA certificate in a bundle of credentials expires in {{ $value | humanizeDuration }}. Then no API server verifies any more, and no client connects.
            runbook: docs/runbooks.md#fairleadcaexpires
        - alert: FairleadCertificateLacksClientName
          expr: count by (endpoint, pool) (fairlead_endpoint_demoted{reason="client-name"}) > 0
          for: 10m
          labels:
            severity: warning
          annotations:
            summary: The serving certificate of {{ $labels.endpoint }} lacks a name that clients verify.
            description: >-
              Other API servers have it in their certificates, so {{ $value }} nodes use this one after the others. Its clients are refused when the others are gone.
            runbook: docs/runbooks.md#fairleadcertificatelacksclientname
        - alert: FairleadClientNameMissing
          expr: count by (pool) (fairlead_client_names_missing > 0) > 0
          for: 10m
          labels:
            severity: warning
          annotations:
            summary: No API server has a certificate for a name that clients verify.
            description: >-
              On {{ $value }} nodes clients verify a name that is in no certificate, so that they cannot connect through Fairlead.
            runbook: docs/runbooks.md#fairleadclientnamemissing
        - alert: FairleadClockSuspect
          expr: fairlead_clock_suspect == 1
          for: 2m
          labels:
            severity: critical
          annotations:
            summary: On {{ $labels.node }} every serving certificate looks expired or not yet valid.
            description: >-
              Most likely the clock of the node is wrong. {{ $labels.instance }} closes nothing and tries every API server, but clients on that node judge by the same clock.
            runbook: docs/runbooks.md#fairleadclocksuspect
        - alert: FairleadEndpointUnverified
          # A node that is joining, or a CA that is being replaced, is done within minutes.
          expr: >-
            fairlead_endpoint_verified == 0 and ignoring(verdict) fairlead_endpoint_verdict{verdict="ready"} == 1
          for: 5m
          labels:
            severity: warning
          annotations:
            summary: Fairlead on {{ $labels.node }} cannot verify the API server {{ $labels.endpoint }}.
            description: >-
              {{ $labels.endpoint }} answers {{ $labels.instance }}, and its certificate is not verified, as the CA cannot be read. Another cluster's API server at that address would be used as well; clients would refuse it.
            runbook: docs/runbooks.md#fairleadendpointunverified
        - alert: FairleadCredentialsUnreadable
          # The watch has an alert of its own, and so have endpoints that are not verified.
          expr: fairlead_problem{code=~"KUBECONFIG_UNREADABLE|CA_UNREADABLE|CA_MISSING|CREDENTIALS_UNREADABLE"} == 1
          for: 10m
          labels:
            severity: warning
          annotations:
            summary: Fairlead on {{ $labels.node }} cannot read part of its credentials ({{ $labels.code }}).
            description: >-
              The agent {{ $labels.instance }} continues with what it read before, or with the CA that it has kept. After a restart it may have less. \`fairlead status\` names the file.
            runbook: docs/runbooks.md#fairleadcredentialsunreadable
`;
