// `fairlead run`: starts the agent and hands it the signals until it has ended.
import { type Agent, startAgent } from '../agent/agent.ts';
import { watchFile } from '../config/watch-file.ts';
import { systemClock } from '../model/clock.ts';
import { formatHostPort } from '../model/endpoint.ts';
import { createLog } from '../observe/log.ts';
import { inheritedSockets } from '../passthrough/socket/inherited-sockets.ts';
import { type ConfigOptions, loadInput } from './config-options.ts';
import { exitCodes } from './exit-codes.ts';
import { loadOrFail } from './load-or-fail.ts';
import { createReload } from './reload.ts';
import type { CommandContext } from './command-context.ts';

export async function run(options: ConfigOptions, context: CommandContext): Promise<number> {
  const input = loadInput(options, context);
  const { config, file } = await loadOrFail(input);
  const load = async () => (await loadOrFail(input)).config;
  const { isTerminal, version, signals, env } = context;
  const serviceHost = env.KUBERNETES_SERVICE_HOST;
  const { logger, close } = await createLog({ ...config.log, node: config.nodeName, isTerminal });

  let agent: Agent | undefined;
  let isStopping = false;
  const stop = (graceMs?: number) =>
    agent?.stop(graceMs).catch((error: unknown) => logger.error({ err: error }, 'stopping failed'));
  const onStop = (signal: NodeJS.Signals) => {
    if (isStopping) {
      // A third one finds no handler and ends the process as the system does.
      removeHandlers();
      logger.warn({ signal }, 'second signal: stopping immediately');
      void stop(0);
      return;
    }
    isStopping = true;
    logger.info({ signal }, 'stopping');
    void stop();
  };
  let onHangup = () => {};
  const handlers = { SIGTERM: onStop, SIGINT: onStop, SIGHUP: () => onHangup() };
  const removeHandlers = () => {
    for (const [signal, handler] of Object.entries(handlers)) signals.off(signal as NodeJS.Signals, handler);
  };
  for (const [signal, handler] of Object.entries(handlers)) signals.on(signal as NodeJS.Signals, handler);

  try {
    const inherited = inheritedSockets({ env, pid: process.pid });
    if (inherited.length > 0) {
      const addresses = inherited.map(({ address }) => formatHostPort(address));
      logger.info({ addresses }, 'using inherited sockets');
    }
    agent = await startAgent({
      ...{ config, log: logger, version, inherited },
      ...(serviceHost && { serviceHost }),
    });
    const reload = createReload({ agent, logger, load });
    onHangup = () => void reload('SIGHUP');
    const watch =
      file === undefined
        ? undefined
        : watchFile({ path: file, clock: systemClock, onChange: () => void reload('file changed') });
    logger.info(
      {
        version,
        pid: process.pid,
        addresses: agent.addresses,
        admin: agent.adminAddress,
        startedInMs: Math.round(performance.now()),
      },
      'fairlead is running',
    );
    if (isStopping) void stop(0);
    await agent.done.finally(() => watch?.stop());
    logger.info('stopped');
    return exitCodes.ok.code;
  } finally {
    removeHandlers();
    await close();
  }
}
