// Loading the configuration again, after SIGHUP or a change of the file. A bad one changes nothing: every
// problem is logged and the agent continues with the configuration it has.
import type { Logger } from 'pino';
import type { Agent } from '../agent/agent.ts';
import type { Config } from '../config/config.ts';
import { FairleadError } from '../model/errors.ts';

export interface ReloadOptions {
  readonly agent: Pick<Agent, 'reload'>;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error' | 'level'>;
  /** Rejects with a FairleadError that names every problem. */
  readonly load: () => Promise<Config>;
}

/** What makes the agent load again; the returned promise settles when all that was asked for is done. */
export type Reload = (trigger: 'SIGHUP' | 'file changed') => Promise<void>;

/** Reloads run one after another, and never more than one waits: it will see the newest file. */
export function createReload({ agent, logger, load }: ReloadOptions): Reload {
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  const once = async (trigger: string): Promise<void> => {
    try {
      const config = await load();
      logger.level = config.log.level;
      const { applied, needsRestart } = await agent.reload(config);
      logger.info({ trigger, applied }, 'configuration reloaded');
      if (needsRestart.length > 0) {
        logger.warn({ trigger, needsRestart }, 'some changed settings take effect only after a restart');
      }
    } catch (error) {
      if (error instanceof FairleadError) {
        logger.error(
          { trigger, code: error.code, problems: error.message.split('\n').map((line) => line.trim()) },
          'the new configuration is invalid; the previous one stays in use',
        );
      } else {
        logger.error({ trigger, err: error }, 'reload failed; the previous configuration stays in use');
      }
    }
  };

  const start = (trigger: string): Promise<void> => {
    running = once(trigger).finally(() => {
      running = undefined;
    });
    return running;
  };

  return (trigger) => {
    if (!running) return start(trigger);
    waiting ??= running.then(() => {
      waiting = undefined;
      return start(trigger);
    });
    return waiting;
  };
}
