// What Fairlead's exit codes mean: a promise to scripts. docs/cli.md lists them; a test compares.
import type { ErrorCode } from '../model/errors.ts';

export const exitCodes = {
  ok: { code: 0, meaning: 'Success.' },
  unexpected: { code: 1, meaning: 'An unexpected failure: a bug, or a system that misbehaves.' },
  badConfig: { code: 2, meaning: 'Bad usage or bad configuration; every problem has been printed.' },
  cannotListen: { code: 3, meaning: '`run`: an address cannot be bound.' },
  noAgent: {
    code: 4,
    meaning: '`status`: no agent answers on the admin address; `install`, `cluster`: no API server does.',
  },
  notReady: {
    code: 5,
    meaning:
      '`status`: the agent answers and is not ready (no endpoint is usable, or it is stopping); `install`: the agent does not serve.',
  },
  refused: {
    code: 6,
    meaning:
      '`kubeconfig point`, `hosts`, `cert`, `install`, `cluster`: refused or failed; no file is half changed.',
  },
  doctorWarns: { code: 7, meaning: '`doctor`: at least one warning, and no error.' },
  doctorErrs: { code: 8, meaning: '`doctor`: at least one error.' },
} as const;

/** The exit code for each coded error. */
export const exitCodeOf: Readonly<Record<ErrorCode, number>> = {
  CONFIG_INVALID: exitCodes.badConfig.code,
  CONFIG_UNREADABLE: exitCodes.badConfig.code,
  KUBECONFIG_INVALID: exitCodes.badConfig.code,
  LISTEN_IN_USE: exitCodes.cannotListen.code,
  LISTEN_FAILED: exitCodes.cannotListen.code,
  CERTIFICATE_INVALID: exitCodes.badConfig.code,
  STATUS_UNREACHABLE: exitCodes.noAgent.code,
  SERVER_UNVERIFIED: exitCodes.refused.code,
  KUBELET_UNSAFE: exitCodes.refused.code,
  FILE_EXISTS: exitCodes.refused.code,
  FILE_NOT_WRITTEN: exitCodes.refused.code,
  INSTALL_REFUSED: exitCodes.refused.code,
  INSTALL_FAILED: exitCodes.notReady.code,
  CLUSTER_REFUSED: exitCodes.refused.code,
  API_REFUSED: exitCodes.noAgent.code,
};
