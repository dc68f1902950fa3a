// Answers a pod's readiness probe with the outcome of the command itself, over HTTP: an exec probe would start a
// Node process every few seconds on every node.
import { parseHostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { startReadOnlyServer } from '../observe/read-only-server.ts';
import { listenError } from '../lib/bind.ts';

export interface Readiness {
  /** The bound address. */
  readonly address: string;
  /** `why`: what the probe is told while it is not ready. */
  set(isReady: boolean, why?: string): void;
  stop(): Promise<void>;
}

/** Not ready until it is told so. Rejects with CONFIG_INVALID, LISTEN_IN_USE or LISTEN_FAILED. */
export async function startReadiness(
  text: string,
  log: { warn(fields: object, message: string): void },
): Promise<Readiness> {
  const listen = parseHostPort(text, { allowPortZero: true });
  if (!listen.ok) {
    throw new FairleadError(
      'CONFIG_INVALID',
      `--ready-address must be HOST:PORT such as 127.0.0.1:6438: ${listen.problem}`,
    );
  }
  let state = { isReady: false, why: 'in progress' };
  const answer = (path: string) => {
    if (path !== '/readyz') return { status: 404, body: 'known paths: /readyz\n' };
    return state.isReady ? { status: 200, body: 'ok\n' } : { status: 503, body: `${state.why}\n` };
  };
  try {
    const { address, stop } = await startReadOnlyServer({
      listen: listen.value,
      log: log as Parameters<typeof startReadOnlyServer>[0]['log'],
      name: 'readiness',
      answer,
    });
    return {
      address,
      stop,
      set: (isReady, why = '') => {
        state = { isReady, why };
      },
    };
  } catch (cause) {
    throw await listenError(listen.value, cause, '--ready-address');
  }
}
