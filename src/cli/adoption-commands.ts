// The commands that put Fairlead to use on a node that has managed without, and take it away again.
import type { Command } from 'commander';
import { addConfigOptions } from './config-options.ts';
import type { Doing } from './action.ts';

const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

export function addAdoptionCommands(program: Command, doing: Doing): void {
  const kubeconfig = program
    .command('kubeconfig')
    .description('Point the clients of this node at Fairlead, and back.')
    .helpCommand(false);
  addConfigOptions(kubeconfig.command('point'), ['admin'])
    .description('Make kubeconfigs name Fairlead as their server, after checking that it will work.')
    .argument('[FILE...]', 'Kubeconfigs. Default: /etc/kubernetes/kubelet.conf.')
    .option('--server <URL>', "New server. Default: the configuration's first listener.")
    .option('--tls-server-name <NAME>', 'Name to verify. Default: one is written only where it is needed.')
    .option('--cluster <NAME>', "Cluster to change. Repeatable. Default: the current context's.", collect)
    .option('--all-clusters', 'Change every cluster of the file.')
    .option('--control-plane', 'Change files on a control-plane node too.')
    .option('--undo', 'Put the original back.')
    .option('--dry-run', 'Show what would change, and change nothing.')
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .action(doing(async () => (await import('./kubeconfig-point.ts')).kubeconfigPoint))
    .addHelpText(
      'after',
      `
The new server must answer with a certificate that verifies against the kubeconfig's own CA; every API
server that the running agent knows is looked at as well. Nothing but server and tls-server-name changes;
the original is kept beside the file, with the ending .fairlead-backup.

Examples:
  fairlead kubeconfig point --dry-run
  fairlead kubeconfig point && systemctl restart kubelet
  fairlead kubeconfig point --server https://localhost:6443 /root/.kube/config
  fairlead kubeconfig point --undo && systemctl restart kubelet`,
    );
}
