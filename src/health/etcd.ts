// What etcd says of itself on /health: JSON with `health` and, from 3.5 on, `reason`. A status of 200 alone says
// nothing: what answers may be something else, and early versions gave 200 with `"health":"false"`. Pure.
import { parseJson } from '../lib/bounded-json.ts';
import { fieldsOf } from '../lib/guards.ts';

const maxReasonLength = 120;

/** What is wrong by the words of the answer; undefined when etcd says that it is well. */
export function etcdProblem(body: string): string | undefined {
  const answer = fieldsOf(parseJson(body));
  if (!('health' in answer)) return 'not an answer from etcd';
  const { health, reason } = answer;
  if (health === 'true' || health === true) return undefined;
  const why =
    typeof reason === 'string' ? reason.replaceAll(/[^\x20-\x7e]/g, '').slice(0, maxReasonLength) : '';
  return why === '' ? 'etcd reports that it is not healthy' : why;
}
