// The commands that put Fairlead on nodes and take it off them.
import type { Command } from 'commander';
import type { LazyAction } from './action.ts';

export function addInstallCommands(program: Command, lazyAction: LazyAction): void {
  program
    .command('install')
    .description(
      'Install the agent on this node as a static pod, wait until it is serving, and keep it installed.',
    )
    .option('--config <FILE>', 'Configuration for the agent.')
    .option('--template <FILE>', 'Static pod manifest. Default: static-pod.yaml next to the configuration.')
    .option(
      '--image <IMAGE>',
      "The agent's image, with its digest. Default: $FAIRLEAD_IMAGE, or the image of this pod.",
    )
    .option('--root <DIR>', "Root of the node's file system. Default: /.")
    .option('--node <NAME>', 'Name of this node. Default: $NODE_NAME, or the host name.')
    .option('--pod-manifest-path <DIR>', "Directory of static pods. Default: from kubelet's configuration.")
    .option(
      '--admin-ports <A,B>',
      'Admin ports that kubelet probes, one for each of the two agent pods during an update. Default: 6440,6441.',
    )
    .option(
      '--replace-proxy',
      'Remove the nginx-proxy or haproxy static pod once the agent lacks only the port that the proxy holds. Uninstalling restores it.',
    )
    .option('--control-plane', 'Allow this on a control-plane node.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .option('--once', 'Run one pass, then exit (default).')
    .option('--watch', 'Keep running, and repair what is changed or removed.')
    .option('--interval <SECONDS>', 'Time between two passes. Default: 10.')
    .option('--serve-within <SECONDS>', 'Time limit for a new pod to start serving. Default: 120.')
    .option('--point-kubelets <COUNT>', 'Point kubelets at their agents, on at most COUNT nodes at a time.')
    .option(
      '--confirm-within <SECONDS>',
      'Time limit for a kubelet to renew its Lease after it was pointed. Default: 90.',
    )
    .option(
      '--ready-address <ADDRESS>',
      'Address on which to serve /readyz, which is ready if the last pass found the agent serving.',
    )
    .option('--report', 'Print the reports of all nodes and exit.')
    .option('--json', 'Print JSON (with --report).')
    .action(lazyAction(async () => (await import('./install.ts')).install))
    .addHelpText(
      'after',
      `
An update starts the new pod next to the old one, on the same port, and removes the old pod when the new one
is serving. A new pod that does not serve is removed. docs/cluster.md describes the files that this command writes.

Examples:
  fairlead install --config /etc/fairlead-install/config.yaml --root /host --watch
  fairlead install --config config.yaml --template static-pod.yaml --image IMAGE@sha256:...
  fairlead install --report --kubeconfig ~/.kube/config`,
    );

  program
    .command('uninstall')
    .description('Remove the agent from this node and restore what was there before.')
    .option('--root <DIR>', "Root of the node's file system. Default: /.")
    .option('--node <NAME>', 'Name of this node. Default: $NODE_NAME, or the host name.')
    .option('--pod-manifest-path <DIR>', "Directory of static pods. Default: from kubelet's configuration.")
    .option('--admin-ports <A,B>', 'The ports that were given to `fairlead install --admin-ports`.')
    .option('--cache-file <FILE>', "The agent's cache. Default: /var/lib/fairlead/endpoints.json.")
    .option('--grace <SECONDS>', 'Time limit for clients to disconnect from the agent. Default: 30.')
    .option('--restart-kubelet', 'Restart kubelet (through systemd) if its kubeconfig was restored.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .option('--stay', 'When done, keep running until SIGTERM (for use in a DaemonSet).')
    .option(
      '--ready-address <ADDRESS>',
      'Address on which to serve /readyz, which is ready when the node is done.',
    )
    .action(lazyAction(async () => (await import('./uninstall.ts')).uninstall))
    .addHelpText(
      'after',
      `
Restores kubeconfigs first, then /etc/hosts. Removes the agent once its clients have disconnected or the grace
period is over. Then restores the previous proxy's static pod and deletes Fairlead's files.

Examples:
  fairlead uninstall
  fairlead uninstall --root /host --restart-kubelet --stay`,
    );
}
