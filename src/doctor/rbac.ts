// Asks an API server whether these credentials may do what Fairlead does: SelfSubjectAccessReview, the
// question behind `kubectl auth can-i`.
import * as v from 'valibot';
import { parseJson } from '../lib/bounded-json.ts';
import type { Credentials } from '../kubernetes/credentials.ts';
import type { Answer, Question } from '../kubernetes/ask-api-server.ts';
import { certificateUser } from './certificates.ts';
import { type Finding, finding } from './finding.ts';

export const watchVerbs = ['list', 'watch'] as const;

const reviewSchema = v.looseObject({ status: v.looseObject({ allowed: v.boolean() }) });

export interface RbacInput {
  readonly ask: (question: Pick<Question, 'path' | 'body'>) => Promise<Answer>;
  readonly namespace: string;
  readonly credentials: Credentials;
}

export interface RbacResult {
  readonly mayWatch: boolean;
  readonly findings: readonly Finding[];
}

export async function reviewRights({ ask, namespace, credentials }: RbacInput): Promise<RbacResult> {
  const denied: string[] = [];
  for (const verb of watchVerbs) {
    const answer = await ask({
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: {
          resourceAttributes: { group: 'discovery.k8s.io', resource: 'endpointslices', namespace, verb },
        },
      },
    });
    if (!answer.ok || answer.status === 401 || answer.status >= 500) {
      const what = `the permissions could not be checked: ${answer.ok ? `status ${answer.status}` : answer.problem}`;
      const fix = 'Fix the findings on endpoints and credentials, then run the doctor again.';
      return { mayWatch: false, findings: [finding('rbac', 'warning', what, fix)] };
    }
    const review = v.safeParse(reviewSchema, parseJson(answer.body));
    if (!(review.success && review.output.status.allowed)) denied.push(verb);
  }
  if (denied.length === 0) {
    const what = `these credentials may list and watch EndpointSlices in namespace ${namespace}`;
    return { mayWatch: true, findings: [finding('rbac', 'ok', what)] };
  }
  const what = `these credentials may not ${denied.join(' and ')} EndpointSlices in namespace ${namespace}`;
  return {
    mayWatch: false,
    findings: [finding('rbac', 'warning', what, grantCommands(namespace, credentials))],
  };
}

function grantCommands(namespace: string, credentials: Credentials): string {
  const user = certificateUser(credentials.cert);
  // All nodes at once: the node authorizer has no opinion, so RBAC decides.
  const subject = user?.groups.includes('system:nodes')
    ? '--group=system:nodes'
    : user
      ? `--user=${user.name}`
      : '--user=NAME (or --serviceaccount=NAMESPACE:NAME)';
  return (
    `kubectl -n ${namespace} create role fairlead --verb=list,watch --resource=endpointslices.discovery.k8s.io && ` +
    `kubectl -n ${namespace} create rolebinding fairlead --role=fairlead ${subject}`
  );
}
