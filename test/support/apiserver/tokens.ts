// Bearer tokens that every stand-in knows.
import type { User } from './access.ts';

export const knownTokens: Readonly<Record<'admin' | 'fairlead' | 'nobody', string>> = {
  admin: 'admin-token',
  fairlead: 'fairlead-token',
  nobody: 'nobody-token',
};

export const tokenUsers: ReadonlyMap<string, User> = new Map([
  [knownTokens.admin, { name: 'kubernetes-admin', groups: ['system:masters'] }],
  [
    knownTokens.fairlead,
    { name: 'system:serviceaccount:kube-system:fairlead', groups: ['system:serviceaccounts'] },
  ],
  [knownTokens.nobody, { name: 'nobody', groups: [] }],
]);
