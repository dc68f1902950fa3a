// The view without a terminal: a line for each event, and one for each second.
import type { Picture } from './picture.ts';
import { number } from './style.ts';

export function secondLine({ elapsedMs, short, long, watch, servers }: Picture): string {
  const states = servers.map(
    ({ name, process, verdict, tunnels }) =>
      `${name} ${process}/${verdict ?? 'not listed'}/${tunnels} tunnel${tunnels === 1 ? '' : 's'}`,
  );
  return [
    `${number((elapsedMs / 1000).toFixed(2), 7)} s  new connections ${short.ok} ok ${short.failed} failed`,
    `long connection ${long.ok} ok ${long.failed} failed`,
    `watch ${watch.events} events ${watch.missed} missed`,
    states.join(', '),
  ].join('; ');
}
