// What to tell a user who wants to try out what is running.
import type { Stage } from './stage.ts';
import type { Paint } from './style.ts';

const root = new URL('../..', import.meta.url).pathname;

export interface KeepFacts {
  readonly stage: Stage;
  readonly admin: string;
  readonly restartAfterMs: number;
}

export function keepInstructions({ stage, admin, restartAfterMs }: KeepFacts, paint: Paint): string {
  const { servers, kubeconfig, agentLog, agent } = stage;
  const [first, second] = servers;
  return [
    '',
    paint(
      'bold',
      'Everything keeps running until Ctrl-C. In another terminal, as the cluster administrator:',
    ),
    `  export KUBECONFIG=${kubeconfig}`,
    '  kubectl auth whoami',
    '  kubectl get nodes,endpointslices',
    '  kubectl get leases -n kube-node-lease -w',
    paint('bold', `What Fairlead knows (listening on ${agent.address}, admin address ${admin})`),
    `  cd ${root}`,
    `  node_modules/.bin/node dist/fairlead.js status --admin ${admin}`,
    `  curl http://${admin}/metrics`,
    `  tail -f ${agentLog}`,
    paint('bold', 'Take an API server away by hand'),
    `  kill -KILL ${first?.pid}   # crashes ${first?.name}, which is started again after ${restartAfterMs / 1000} s`,
    `  kill -STOP ${second?.pid}   # freezes ${second?.name}; kill -CONT ${second?.pid} lets it go on`,
    '',
  ].join('\n');
}
