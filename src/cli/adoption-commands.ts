// The commands that put Fairlead to use on a node that has managed without, and take it away again.
import { type Command, Option } from 'commander';
import { addConfigOptions } from './config-options.ts';
import type { LazyAction } from './action.ts';

const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

export function addAdoptionCommands(program: Command, lazyAction: LazyAction): void {
  const kubeconfig = program
    .command('kubeconfig')
    .description('Point the clients of this node at Fairlead, and back.')
    .helpCommand(false);
  addConfigOptions(kubeconfig.command('point'), ['admin'])
    .description('Make kubeconfigs name Fairlead as their server, after checking that it will work.')
    .argument('[FILE...]', 'Kubeconfigs. Default: /etc/kubernetes/kubelet.conf.')
    .option('--server <URL>', "New server. Default: the configuration's first passthrough listener.")
    .option('--tls-server-name <NAME>', 'Name to verify. Default: one is written only where it is needed.')
    .option('--cluster <NAME>', "Cluster to change. Repeatable. Default: the current context's.", collect)
    .option('--all-clusters', 'Change every cluster of the file.')
    .option('--control-plane', 'Change files on a control-plane node too.')
    .option('--allow-daemonset', 'Point kubelet at an agent that a DaemonSet runs, too.')
    .option('--undo', 'Put the original back.')
    .option('--dry-run', 'Show what would change, and change nothing.')
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .action(lazyAction(async () => (await import('./kubeconfig-point.ts')).kubeconfigPoint))
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

  program
    .command('endpoint')
    .description("Say which API server address Kubespray's variables give to a role, and their traps.")
    .requiredOption('--vars <FILE>', 'Group variables (YAML). Repeatable; later ones win.', collect)
    .addOption(
      new Option('--role <ROLE>', 'Who asks; etcd: how API servers reach etcd.')
        .choices(['control-plane', 'worker', 'external', 'etcd'])
        .makeOptionMandatory(),
    )
    .option('--first-control-plane <ADDRESS>', 'access_ip of the first control-plane node, else its ip.')
    .option('--unmanaged-lb <HOST[:PORT]>', 'Load balancer that the variables do not know.')
    .option('--json', 'Print JSON.')
    .action(lazyAction(async () => (await import('./endpoint.ts')).endpoint))
    .addHelpText(
      'after',
      `
Prints the address that works, one a line where there are two, and warns where the variables are such that
Kubespray itself writes one that does not.

Examples:
  fairlead endpoint --vars inventory/mycluster/group_vars/all/all.yml --role worker
  fairlead endpoint --vars all.yml --vars k8s-cluster.yml --role external --first-control-plane 10.0.0.1`,
    );

  program
    .command('import')
    .description("Make a Fairlead configuration out of an nginx or HAProxy proxy's.")
    .argument('<FILE>', 'nginx.conf or haproxy.cfg.')
    .addOption(
      new Option('--type <TYPE>', 'Whose file it is. Default: as it looks.').choices(['nginx', 'haproxy']),
    )
    .option('--kubeconfig <FILE>', 'Kubeconfig that the configuration is to take CA and credentials from.')
    .action(lazyAction(async () => (await import('./import-config.ts')).importConfig))
    .addHelpText(
      'after',
      `
Standard output is the configuration. Standard error names, with its line, every directive that needs
something done by hand (todo), is applied with a difference (changed), has no counterpart (dropped), or is
served by Fairlead in another way (covered).

Examples:
  fairlead import /etc/nginx/nginx.conf --kubeconfig /etc/kubernetes/kubelet.conf > fairlead.yaml
  fairlead import /etc/haproxy/haproxy.cfg > fairlead.yaml && fairlead config check --config fairlead.yaml`,
    );

  addConfigOptions(program.command('doctor'))
    .description('Examine this node: what keeps Fairlead from serving it, or clients from using Fairlead.')
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .option('--json', 'Print JSON.')
    .action(lazyAction(async () => (await import('./doctor.ts')).doctor))
    .addHelpText(
      'after',
      `
For before the adoption and after it; changes nothing. Without credentials in the configuration it looks with
kubelet's (/etc/kubernetes/kubelet.conf). docs/doctor.md lists what is looked at, and why.

Examples:
  fairlead doctor
  fairlead doctor --config /etc/fairlead/fairlead.yaml --json
  fairlead doctor --endpoints 10.0.0.1:6443 --kubeconfig /etc/kubernetes/kubelet.conf`,
    );

  program
    .command('cert')
    .description('Make a serving certificate for a listener of type http.')
    .requiredOption('--cert-file <FILE>', 'Where to write the certificate (PEM).')
    .requiredOption('--key-file <FILE>', 'Where to write its key (PEM, readable by this user only).')
    .option(
      '--name <NAME>',
      'DNS name or IP address. Repeatable. Default: localhost, 127.0.0.1, ::1.',
      collect,
    )
    .option('--ca-cert <FILE>', 'CA to sign it; needs --ca-key. Default: it signs itself.')
    .option('--ca-key <FILE>', 'Key of the CA.')
    .option('--days <DAYS>', 'How long it is valid, at most as long as the CA. Default: 365.')
    .option('--force', 'Replace files that exist.')
    .action(lazyAction(async () => (await import('./cert.ts')).cert))
    .addHelpText(
      'after',
      `
A running agent takes a renewed certificate over by itself. docs/http.md says what the listener is for.

Examples:
  fairlead cert --cert-file /etc/fairlead/tls.crt --key-file /etc/fairlead/tls.key
  fairlead cert --cert-file tls.crt --key-file tls.key --ca-cert ca.crt --ca-key ca.key --days 30 --force`,
    );

  program
    .command('hosts')
    .description("Give the load balancer's name in /etc/hosts to this node, or take it back.")
    .option('--name <NAME>', 'The name. Default: lb-apiserver.kubernetes.local.')
    .option('--address <ADDRESS>', 'What it is to mean. Repeatable. Default: 127.0.0.1.', collect)
    .option('--undo', 'Put the file back as it was.')
    .option('--dry-run', 'Show what would change, and change nothing.')
    .option('--root <DIR>', "Where the node's file system is mounted. Default: /.")
    .action(lazyAction(async () => (await import('./hosts.ts')).hosts))
    .addHelpText(
      'after',
      `
Other lines that name it are kept in comments; every line of Fairlead's carries a mark, so that --undo needs
nothing but the file. The API servers' certificates must have the name (see fairlead doctor).

Examples:
  fairlead hosts --dry-run
  fairlead hosts --name api.example.com --address 127.0.0.1 --address ::1
  fairlead hosts --undo`,
    );
}
