// The commands that change something for all nodes of a cluster at once.
import { type Command, Argument } from 'commander';
import type { LazyAction } from './action.ts';

export function addClusterCommands(program: Command, lazyAction: LazyAction): void {
  const cluster = program
    .command('cluster')
    .description('Point what is configured once for all nodes at Fairlead, and back.')
    .helpCommand(false);
  cluster
    .command('point')
    .description('Show, make or take back the change that points one of them at Fairlead.')
    .addArgument(
      new Argument('<WHAT>', 'What to point.').choices(['kube-proxy', 'kubeadm', 'cilium', 'calico']),
    )
    .option('--server <URL>', 'New server, the same on every node. Default: https://127.0.0.1:6443.')
    .option('--tls-server-name <NAME>', 'kube-proxy: name to verify. Default: one only where it is needed.')
    .option(
      '--namespace <NAMESPACE>',
      "cilium, calico: theirs. Default: kube-system, or Calico's operator's.",
    )
    .option('--print', 'Show the change, and make none. This is the default, but for --undo.')
    .option('--apply', 'Make the change.')
    .option('--undo', 'Give back what was there before.')
    .option('--restart', 'With --apply or --undo: restart the pods that read it, once for each change.')
    .option('--unchecked', 'Apply although nodes have no listener there, or certificates lack the name.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .action(lazyAction(async () => (await import('./cluster-point.ts')).clusterPoint))
    .addHelpText(
      'after',
      `
kube-proxy  ConfigMap kube-system/kube-proxy, its kubeconfig
kubeadm     ConfigMap kube-system/kubeadm-config, controlPlaneEndpoint
cilium      k8sServiceHost and k8sServicePort: environment of DaemonSet cilium and Deployment cilium-operator
calico      ConfigMap kubernetes-services-endpoint, in tigera-operator where that is, else in kube-system

Refused where a node has neither an agent that serves nor, on the control plane, an API server on that port of its
loopback, and where a certificate is not for the name. What was there is kept in an annotation of the object.

Examples:
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config --apply --restart
  fairlead cluster point calico --server https://localhost:6443 --kubeconfig ~/.kube/config
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config --undo --restart`,
    );
}
