// The commands that change something for all nodes of a cluster at once.
import { type Command, Argument } from 'commander';
import type { LazyAction } from './action.ts';

export function addClusterCommands(program: Command, lazyAction: LazyAction): void {
  const cluster = program
    .command('cluster')
    .description('Point cluster-wide components at Fairlead, or revert them.')
    .helpCommand(false);
  cluster
    .command('point')
    .description('Print, apply or revert the change that points a component at Fairlead.')
    .addArgument(
      new Argument('<WHAT>', 'Component to point at Fairlead.').choices([
        'kube-proxy',
        'kubeadm',
        'cilium',
        'calico',
      ]),
    )
    .option('--server <URL>', 'New server, the same on every node. Default: https://127.0.0.1:6443.')
    .option(
      '--tls-server-name <NAME>',
      'Name that kube-proxy verifies. Default: set only if the certificates require it.',
    )
    .option(
      '--namespace <NAMESPACE>',
      "Namespace of cilium or calico. Default: kube-system, or that of Calico's operator.",
    )
    .option('--print', 'Print the change without applying it (default, except with --undo).')
    .option('--apply', 'Apply the change.')
    .option('--undo', 'Restore the previous value.')
    .option('--restart', 'After the change, restart the pods that use the value (with --apply or --undo).')
    .option('--unchecked', 'Skip the checks for a listener on every node and for names in the certificates.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .action(lazyAction(async () => (await import('./cluster-point.ts')).clusterPoint))
    .addHelpText(
      'after',
      `
What changes:
kube-proxy  the kubeconfig in ConfigMap kube-system/kube-proxy
kubeadm     controlPlaneEndpoint in ConfigMap kube-system/kubeadm-config
cilium      k8sServiceHost and k8sServicePort: environment of DaemonSet cilium and Deployment cilium-operator
calico      ConfigMap kubernetes-services-endpoint, in tigera-operator if that exists, otherwise in kube-system

The command makes no change if a node has no listener on the --server address (an agent or, on a control-plane
node, an API server), or if a certificate lacks the name. The previous value is kept in an annotation of the object.

Examples:
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config --apply --restart
  fairlead cluster point calico --server https://localhost:6443 --kubeconfig ~/.kube/config
  fairlead cluster point kube-proxy --kubeconfig ~/.kube/config --undo --restart`,
    );
}
