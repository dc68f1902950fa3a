// What is in use of each part of the credentials: what was just read, else what was last read well, else (of the CA
// alone) what is kept on disk. Pure, but for asking for the kept CA.
import type { HostPort } from '../model/endpoint.ts';
import type { AgentProblem, ProblemCode } from '../model/problems.ts';
import type { Credentials, Identity, KeptCa, PartReading } from './credentials.ts';
import type { ServerPlace } from './kubeconfig.ts';
import { assemble, type CredentialReading, problemsOf } from './load-credentials.ts';

/** The last good value of each part. */
export interface GoodParts {
  readonly ca?: string;
  readonly identity?: Identity;
  readonly place?: ServerPlace;
}

/** A problem that lasts. */
export interface CredentialProblem extends AgentProblem {
  /** What is missing has not been read since the agent started. */
  readonly isSinceStart: boolean;
}

export interface PartsInUse {
  readonly credentials: Credentials;
  readonly server: HostPort | undefined;
  readonly good: GoodParts;
  readonly keptCa: KeptCa | undefined;
  readonly problems: readonly CredentialProblem[];
}

const whyUnverified: Readonly<Partial<Record<ProblemCode, string>>> = {
  KUBECONFIG_UNREADABLE: 'the kubeconfig cannot be read',
  CA_UNREADABLE: 'the CA cannot be read',
  CA_MISSING: 'no CA is configured',
};

export const beingRead = 'the credentials are being loaded';

/** `serverName`: as configured, before that of a kubeconfig. */
export async function useParts(
  reading: CredentialReading,
  before: GoodParts,
  { serverName, kept }: { serverName?: string | undefined; kept: () => Promise<KeptCa | undefined> },
): Promise<PartsInUse> {
  const { ca, identity, place } = reading;
  const good: GoodParts = {
    ...goodOf('ca', ca, before),
    ...goodOf('identity', identity, before),
    ...goodOf('place', place, before),
  };
  const missing = ca.state === 'unreadable' && good.ca === undefined ? ca.problem : noTrust(reading);
  // Where no CA is configured any more an old one has no say.
  const keptCa = missing && missing.code !== 'CA_MISSING' ? await kept() : undefined;
  const trusted = good.ca ?? keptCa?.ca;
  const name = serverName ?? good.place?.serverName;
  const unverified = missing && !keptCa ? (whyUnverified[missing.code] ?? 'no CA can be read') : undefined;
  const isSystemTrusted = ca.state === 'absent' && identity.state === 'unreadable' && !good.identity;
  const credentials = assemble({
    ...(trusted !== undefined && { ca: trusted }),
    ...(name !== undefined && { serverName: name }),
    ...(unverified !== undefined && { unverified }),
    ...(isSystemTrusted && { isSystemTrusted }),
    ...(good.identity && { identity: good.identity }),
  });
  const read = problemsOf(reading);
  const all = missing && !read.includes(missing) ? [...read, missing] : read;
  const problems = all.map((problem) => described(problem, { reading, good, keptCa }));
  return { credentials, server: good.place?.server, good, keptCa, problems };
}

function goodOf<K extends keyof GoodParts>(
  key: K,
  part: PartReading<NonNullable<GoodParts[K]>>,
  before: GoodParts,
): Pick<GoodParts, K> | undefined {
  const value = part.state === 'read' ? part.value : part.state === 'unreadable' ? before[key] : undefined;
  return value === undefined ? undefined : ({ [key]: value } as Pick<GoodParts, K>);
}

/** A kubeconfig without CA and user: verification is asked for, and there is nothing to verify by. */
function noTrust({ ca, identity, isVerificationAsked }: CredentialReading): AgentProblem | undefined {
  if (!isVerificationAsked || ca.state !== 'absent' || identity.state !== 'absent') return undefined;
  return { code: 'CA_MISSING', message: 'the kubeconfig has neither a CA nor a user' };
}

/** With what is in use in place of the part. */
function described(
  problem: AgentProblem,
  { reading, good, keptCa }: { reading: CredentialReading } & Pick<PartsInUse, 'good' | 'keptCa'>,
): CredentialProblem {
  const { code, message } = problem;
  const isOf = (part: PartReading<unknown>) =>
    part.state === 'unreadable' && part.problem.message === message;
  const parts = (['ca', 'identity', 'place'] as const).filter((part) => isOf(reading[part]));
  const isEarlierInUse = parts.some((part) => good[part] !== undefined);
  const inUse = isEarlierInUse
    ? '; the previous value stays in use'
    : keptCa && parts.includes('ca')
      ? `; the CA kept in ${keptCa.file} on ${new Date(keptCa.writtenMs).toISOString()} verifies in its place`
      : '';
  return { code, message: `${message}${inUse}`, isSinceStart: !isEarlierInUse };
}
