// What to say at the end, and whether it went well. Numbers only from what was measured.
import type { Happening, Picture } from './picture.ts';
import { type Paint, seconds, times } from './style.ts';

export function summarize(
  picture: Picture,
  failures: readonly string[],
  paint: Paint,
): { readonly isGood: boolean; readonly lines: readonly string[] } {
  const { short, long, watch, happenings, elapsedMs } = picture;
  const problems = [
    ...(short.failed > 0 ? [`${short.failed} new connections failed`] : []),
    ...(short.ok === 0 ? ['no request was answered'] : []),
    ...(watch.missed > 0 ? [`the watch missed ${watch.missed} events`] : []),
    ...(long.failed > 0 ? [`${long.failed} renewals failed on the long connection`] : []),
  ];
  const isGood = problems.length === 0;
  const told = happenings.filter(({ teller }) => teller === 'story');
  const lines = [
    paint('bold', `What happened in ${Math.round(elapsedMs / 1000)} seconds`),
    ...told.map((happening) => `  ${storyLine(happening, happenings)}`),
    '',
    paint('bold', 'What the clients saw'),
    `  kubectl, a new connection for each request: ${short.ok} worked, ${short.failed} failed; ` +
      `the slowest took ${seconds(short.slowestMs)}.`,
    ...(short.repeated > 0
      ? [
          `    ${short.repeated} of them had to be sent twice, because their API server died in the middle of the answer.`,
        ]
      : []),
    `  kubelet, one long connection: ${long.ok} renewals of its Lease worked, ${long.failed} failed, ` +
      `${long.repeated} were sent again`,
    `    after the connection was cut; the longest time without one was ${seconds(long.longestPauseMs)}.`,
    `  Its watch: ${watch.events} events, ${watch.missed} missed; resumed ${times(watch.resumed)}.`,
    ...failures.map((failure) => paint('red', `  failed: ${failure}`)),
    '',
    isGood
      ? paint('green', 'GOOD: no new connection failed and the watch missed nothing.')
      : paint('red', `NOT GOOD: ${problems.join('; ')}.`),
  ];
  return { isGood, lines };
}

/** A step of the story, with what Fairlead made of it and when. */
function storyLine(step: Happening, happenings: readonly Happening[]): string {
  const { atMs, text, server, leadsTo } = step;
  const line = `${(atMs / 1000).toFixed(1).padStart(5)} s  ${text}.`;
  if (leadsTo === undefined) return line;
  const expected = leadsTo === 'ready' ? ['ready'] : ['unready', 'dead', 'not listed'];
  const answer = happenings
    .slice(happenings.indexOf(step) + 1)
    .find((happening) => happening.server === server && expected.includes(happening.verdict ?? ''));
  const indent = ' '.repeat(11);
  if (!answer) return `${line}\n${indent}Fairlead had not noticed by the end.`;
  const { verdict, reason } = answer;
  const what =
    verdict === 'not listed' ? 'saw it leave the EndpointSlice' : `judged it ${verdict} (${reason})`;
  return `${line}\n${indent}Fairlead ${what} after ${seconds(answer.atMs - atMs)}.`;
}
