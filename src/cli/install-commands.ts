// The commands that put Fairlead on nodes and take it off them.
import type { Command } from 'commander';
import type { LazyAction } from './action.ts';

export function addInstallCommands(program: Command, lazyAction: LazyAction): void {
  program
    .command('install')
    .description('Put the agent on this node as a static pod, wait until it serves, and keep it so.')
    .option('--config <FILE>', 'Configuration that the agent is to have.')
    .option('--template <FILE>', 'The static pod. Default: static-pod.yaml beside the configuration.')
    .option(
      '--image <IMAGE>',
      "The agent's image, by digest. Default: $FAIRLEAD_IMAGE, else that of this very pod.",
    )
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .option('--node <NAME>', 'Name of this node. Default: $NODE_NAME, else the host name.')
    .option(
      '--pod-manifest-path <DIR>',
      "Directory of static pods. Default: as kubelet's configuration says.",
    )
    .option('--admin-ports <A,B>', "Ports of the two slots for kubelet's probes. Default: 6440,6441.")
    .option(
      '--replace-proxy',
      "Set nginx-proxy's or haproxy's static pod aside once the agent only needs its port.",
    )
    .option('--control-plane', 'Install on a control-plane node too.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .option('--once', 'One pass, then end. This is the default.')
    .option('--watch', 'Stay, and repair what is changed or removed.')
    .option('--interval <SECONDS>', 'Between two passes. Default: 10.')
    .option('--serve-within <SECONDS>', 'How long a new pod may take to serve. Default: 120.')
    .option('--point-kubelets <COUNT>', 'Once it serves, point kubelet at it: so many nodes at a time.')
    .option('--confirm-within <SECONDS>', "How long kubelet's Lease may take to be renewed. Default: 90.")
    .option(
      '--ready-address <ADDRESS>',
      'Answer /readyz there: ready when the last pass found the agent serving.',
    )
    .option('--report', 'Show what every node has reported, and do nothing else.')
    .option('--json', 'With --report: print JSON.')
    .action(lazyAction(async () => (await import('./install.ts')).install))
    .addHelpText(
      'after',
      `
An update starts the new pod beside the old one, on the same port, and removes the old one when the new one
serves; one that does not serve is removed again. docs/cluster.md tells what is written where.

Examples:
  fairlead install --config /etc/fairlead-install/config.yaml --root /host --watch
  fairlead install --config config.yaml --template static-pod.yaml --image IMAGE@sha256:...
  fairlead install --report --kubeconfig ~/.kube/config`,
    );

  program
    .command('uninstall')
    .description('Take the agent off this node, and give back what was there before it.')
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .option('--node <NAME>', 'Name of this node. Default: $NODE_NAME, else the host name.')
    .option(
      '--pod-manifest-path <DIR>',
      "Directory of static pods. Default: as kubelet's configuration says.",
    )
    .option('--admin-ports <A,B>', 'Ports of the two slots, as they were given to install.')
    .option('--cache-file <FILE>', "The agent's list. Default: /var/lib/fairlead/endpoints.json.")
    .option('--grace <SECONDS>', 'How long clients may take to leave the agent. Default: 30.')
    .option('--restart-kubelet', 'Restart kubelet (through systemd) when its kubeconfig was put back.')
    .option('--kubeconfig <FILE>', "Credentials for the API. Default: the pod's service account.")
    .option('--stay', 'Stay when all is done, until SIGTERM: for a DaemonSet.')
    .option('--ready-address <ADDRESS>', 'Answer /readyz there: ready when all is done.')
    .action(lazyAction(async () => (await import('./uninstall.ts')).uninstall))
    .addHelpText(
      'after',
      `
Pointed kubeconfigs go back first, then the names in /etc/hosts; the agent goes when its clients have left, or after
the grace; then a proxy's static pod that was set aside comes back, and Fairlead's files go.

Examples:
  fairlead uninstall
  fairlead uninstall --root /host --restart-kubelet --stay`,
    );
}
