// The live view: from the picture to the lines of a terminal, 80 columns wide or more. Pure.
import type { ClientPicture, Happening, Picture, ServerPicture } from './picture.ts';
import { type Colour, cell, number, type Paint, seconds, times } from './style.ts';
import { columnMs, type Mark } from './tally.ts';

export interface ViewSize {
  readonly width: number;
  readonly height: number;
}

const serverColours: readonly Colour[] = ['cyan', 'magenta', 'yellow'];
/** Terminals with fewer rows get no empty lines at the top. */
const roomyRows = 30;

export function render(picture: Picture, { width, height }: ViewSize, paint: Paint): string[] {
  const gap = height >= roomyRows ? [''] : [];
  const head = [
    title(picture, width, paint),
    ...gap,
    `  kubectl, kubelet --TLS--> Fairlead ${picture.listen} --same TLS--> API servers`,
    ...gap,
    `  ${paint('bold', `NOW: ${picture.now}`)}`,
    '',
    ...panel(picture, width, paint),
    ...gap,
    paint('dim', '  WHAT HAPPENED'),
  ];
  const room = Math.max(1, height - head.length);
  return [...head, ...picture.happenings.slice(-room).map((happening) => happeningLine(happening, paint))];
}

/** The tables and the strips alone. */
export function panel(picture: Picture, width: number, paint: Paint): string[] {
  const { servers, short, long, watch, happenings } = picture;
  const heading = (text: string) => paint('dim', text);
  const missed = watch.missed === 0 ? '0 missed' : paint('red', `${watch.missed} missed`);
  const room = width - 13;
  const columns = Math.max(short.strip.length, long.strip.length);
  const first = Math.max(0, columns - room);
  return [
    heading(
      `  ${cell('API SERVER', 25)}${number('PID', 7)} ${cell('PROCESS', 8)} ${cell('FAIRLEAD SAYS', saidWidth(width) - 10)}CONNECTIONS NOW/ALL`,
    ),
    ...servers.map((server, index) => serverLine(server, index, width, paint)),
    '',
    heading('  CLIENT                            OK REPEATED FAILED   SLOWEST  LONGEST PAUSE'),
    clientLine('kubectl, a new connection each', short, paint),
    clientLine('kubelet, one long connection', long, paint),
    `    and a watch on it           ${number(watch.events, 6)} events, ${missed}, resumed ${times(watch.resumed)}`,
    '',
    heading('  WHO ANSWERED, each half second (1: cp-1, ...; .: nobody; X: a failure)'),
    `  kubectl  ${strip(short.strip.slice(first), servers, paint)}`,
    `  kubelet  ${strip(long.strip.slice(first), servers, paint)}`,
    `           ${heading(markers(happenings, servers, first, room))}`,
  ];
}

function title({ elapsedMs, endMs }: Picture, width: number, paint: Paint): string {
  const left = '  Fairlead: each node reaches a Kubernetes API server that works';
  const passed = `${Math.floor(elapsedMs / 1000)} s`;
  const time = endMs === undefined ? passed : `${passed} of ${Math.round(endMs / 1000)} s`;
  return paint('bold', cell(left, Math.max(0, width - time.length - 2))) + time;
}

/** How wide the column of verdict and reason is. */
function saidWidth(width: number): number {
  return Math.min(40, Math.max(26, width - 54));
}

function serverLine(server: ServerPicture, index: number, width: number, paint: Paint): string {
  const { name, address, pid, process, verdict, reason, tunnels, totalTunnels } = server;
  const colour = serverColours[index] ?? 'blue';
  const label = paint(colour, `${cell(name, 5)}${cell(address, 20)}`);
  const state = paint(process === 'running' ? 'green' : 'red', cell(process, 8));
  const said = verdict === undefined ? 'not listed' : `${cell(verdict, 8)} ${reason}`;
  const mood: Colour = verdict === 'ready' ? 'green' : verdict === undefined ? 'dim' : 'red';
  const counts = number(`${tunnels} / ${totalTunnels}`, 9);
  return `  ${label}${number(pid ?? '', 7)} ${state} ${paint(mood, cell(said, saidWidth(width)))}${counts}`;
}

function clientLine(name: string, client: ClientPicture, paint: Paint): string {
  const { ok, repeated, failed, slowestMs, longestPauseMs } = client;
  const failures = paint(failed === 0 ? 'green' : 'red', number(failed, 7));
  const figures = `${number(ok, 6)}${number(repeated, 9)}${failures}`;
  return `  ${cell(name, 30)}${figures}${number(seconds(slowestMs), 10)}${number(seconds(longestPauseMs), 15)}`;
}

function strip(marks: readonly Mark[], servers: readonly ServerPicture[], paint: Paint): string {
  return marks
    .map((mark) => {
      if (mark === 'failed') return paint('red', 'X');
      if (mark === 'nobody') return paint('red', '.');
      const index = servers.findIndex(({ name }) => name === mark.server);
      return paint(serverColours[index] ?? 'blue', String(index + 1));
    })
    .join('');
}

/** Under the strips: what was done when, as far as there is room. */
function markers(
  happenings: readonly Happening[],
  servers: readonly ServerPicture[],
  firstColumn: number,
  room: number,
): string {
  let line = '';
  for (const { atMs, word, server } of happenings) {
    const column = Math.floor(atMs / columnMs) - firstColumn;
    if (word === undefined || column < line.length) continue;
    const index = servers.findIndex(({ name }) => name === server) + 1;
    line = `${line.padEnd(column)}^${index} ${word}`;
  }
  return line.slice(0, Math.max(0, room));
}

export function happeningLine({ atMs, teller, text }: Happening, paint: Paint): string {
  const time = `${number((atMs / 1000).toFixed(2), 7)} s`;
  if (teller === 'story') return `${time}  ${paint('bold', text)}`;
  return `${time}    ${paint(teller === 'fairlead' ? 'blue' : 'dim', `${teller}: ${text}`)}`;
}
