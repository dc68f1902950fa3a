// What Fairlead's exit codes mean: a promise to scripts. docs/cli.md lists them; a test compares.
import type { ErrorCode } from '../model/errors.ts';

export const exitCodes = {
  ok: { code: 0, meaning: 'Success.' },
  unexpected: { code: 1, meaning: 'Unexpected failure: a bug or a malfunction of the system.' },
  badConfig: { code: 2, meaning: 'Invalid arguments or configuration. All problems are printed.' },
  cannotListen: { code: 3, meaning: '`run`: an address cannot be bound.' },
  noAgent: {
    code: 4,
    meaning: '`status`: no agent answers on the admin address. `install`, `cluster`: no API server answers.',
  },
  notReady: {
    code: 5,
    meaning:
      '`status`: the agent is not ready (no usable endpoint, or stopping). `install`: the agent is not serving.',
  },
  refused: {
    code: 6,
    meaning:
      '`kubeconfig point`, `hosts`, `cert`, `install`, `cluster`: refused or failed. No file is partially written.',
  },
  doctorWarns: { code: 7, meaning: '`doctor`: at least one warning, no error.' },
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
