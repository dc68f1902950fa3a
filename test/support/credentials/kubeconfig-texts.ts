// Kubeconfigs in every way of writing them that a property needs: block, flow and JSON, quoted and folded
// values, comments, CRLF, no final line break, several documents.
import fc from 'fast-check';

export interface WrittenCluster {
  readonly name: string;
  readonly server: string;
  readonly tlsServerName?: string;
}

export interface WrittenKubeconfig {
  readonly text: string;
  readonly clusters: readonly WrittenCluster[];
  readonly current: string;
}

const host = fc.constantFrom('10.0.0.1', 'lb.example.com', '[fd00::5]', 'localhost');
const server = fc.tuple(host, fc.integer({ min: 1, max: 65_535 })).map(([h, port]) => `https://${h}:${port}`);
const name = fc.constantFrom('kubernetes', 'default-cluster', 'a b', 'c:d', '#1', "o'k", '1');
const tlsServerName = fc.option(fc.constantFrom('kubernetes', 'lb.example.com', '10.0.0.1'), {
  nil: undefined,
});

export const clusterEntries: fc.Arbitrary<readonly WrittenCluster[]> = fc.uniqueArray(
  fc.record({ name, server, tlsServerName }).map(({ tlsServerName: verified, ...rest }) => ({
    ...rest,
    ...(verified && { tlsServerName: verified }),
  })),
  { minLength: 1, maxLength: 3, selector: (cluster) => cluster.name },
);

type ScalarStyle = 'plain' | 'double' | 'single' | 'folded' | 'literal' | 'escaped' | 'next line';

const single = (value: string) => `'${value.replaceAll("'", "''")}'`;

/** `value` behind its key, at `indent` spaces. */
function scalar(value: string, style: ScalarStyle, indent: number): string {
  const deeper = ' '.repeat(indent + 2);
  const middle = Math.floor(value.length / 2);
  switch (style) {
    case 'plain':
      return value.startsWith('[') ? single(value) : value;
    case 'double':
      return JSON.stringify(value);
    case 'single':
      return single(value);
    case 'folded':
      return `>-\n${deeper}${value}`;
    case 'literal':
      return `|-\n${deeper}${value}`;
    case 'escaped':
      return `"${value.slice(0, middle)}\\\n${deeper}${value.slice(middle)}"`;
    case 'next line':
      return `\n${deeper}${single(value)}`;
  }
}

const scalarStyle = fc.constantFrom<ScalarStyle>(
  'plain',
  'double',
  'single',
  'folded',
  'literal',
  'escaped',
  'next line',
);

interface BlockStyle {
  readonly step: number;
  readonly serverStyle: ScalarStyle;
  readonly nameStyle: ScalarStyle;
  readonly isServerLast: boolean;
  readonly comment: string;
  readonly isSeqIndented: boolean;
}

const blockStyle: fc.Arbitrary<BlockStyle> = fc.record({
  step: fc.constantFrom(2, 3, 4),
  serverStyle: scalarStyle,
  nameStyle: scalarStyle,
  isServerLast: fc.boolean(),
  comment: fc.constantFrom('', ' # the first one', '   # see server: https://wiki'),
  isSeqIndented: fc.boolean(),
});

const secretUser = 'users:\n- name: u\n  user:\n    token: very-secret # keep\n';
const head = '# written by kubeadm\napiVersion: v1\nkind: Config\npreferences: {}\n';

function block(clusters: readonly WrittenCluster[], style: BlockStyle): string {
  const { step, serverStyle, nameStyle, isServerLast, comment, isSeqIndented } = style;
  const margin = isSeqIndented ? '  ' : '';
  const indent = margin.length + 2 + step;
  const pad = ' '.repeat(indent);
  const entries = clusters.map((cluster) => {
    // A block scalar's header may have a comment, but its content may not.
    const behind = ['plain', 'double', 'single', 'next line', 'escaped'].includes(serverStyle) ? comment : '';
    const lines = [
      `server: ${scalar(cluster.server, serverStyle, indent)}${behind}`,
      ...(cluster.tlsServerName === undefined
        ? []
        : [`tls-server-name: ${scalar(cluster.tlsServerName, nameStyle, indent)}`]),
    ];
    const ca = 'certificate-authority-data: QUJD';
    const all = isServerLast ? [ca, ...lines.toReversed()] : [...lines, ca];
    const map = all.map((line) => `${pad}${line}\n`).join('');
    return `${margin}- cluster:\n${map}${margin}  name: ${JSON.stringify(cluster.name)}\n`;
  });
  return `clusters:\n${entries.join('')}`;
}

const contexts = (current: string) =>
  `contexts:\n- name: here\n  context: {cluster: ${JSON.stringify(current)}, user: u}\ncurrent-context: here\n`;

function asObject(clusters: readonly WrittenCluster[], current: string) {
  return {
    clusters: clusters.map((cluster) => ({
      name: cluster.name,
      cluster: {
        server: cluster.server,
        ...(cluster.tlsServerName && { 'tls-server-name': cluster.tlsServerName }),
        'certificate-authority-data': 'QUJD',
      },
    })),
    users: [{ name: 'u', user: { token: 'very-secret' } }],
    contexts: [{ name: 'here', context: { cluster: current, user: 'u' } }],
    'current-context': 'here',
  };
}

function flow(clusters: readonly WrittenCluster[]): string {
  const entries = clusters.map(({ name: clusterName, server: url, tlsServerName: verified }) => {
    const verify = verified === undefined ? '' : `, tls-server-name: ${verified}`;
    return `{name: ${JSON.stringify(clusterName)}, cluster: {server: ${JSON.stringify(url)}${verify}, x: 1}}`;
  });
  return `clusters: [${entries.join(', ')}] # flow\n`;
}

type Ending = 'lf' | 'crlf' | 'none';

const form = fc.oneof(
  { weight: 4, arbitrary: blockStyle.map((style) => ({ kind: 'block', style }) as const) },
  fc.constant({ kind: 'flow' } as const),
  fc.constantFrom(0, 1, 2, 4).map((indent) => ({ kind: 'json', indent }) as const),
);

/** A kubeconfig and what it says. */
export const writtenKubeconfigs: fc.Arbitrary<WrittenKubeconfig> = fc
  .record({
    clusters: clusterEntries,
    form,
    ending: fc.constantFrom<Ending>('lf', 'crlf', 'none'),
    isMarked: fc.boolean(),
    isFirst: fc.boolean(),
    hasSecond: fc.boolean(),
  })
  .map(({ clusters, form: written, ending, isMarked, isFirst, hasSecond }) => {
    const current = clusters.at(-1)?.name ?? '';
    let text: string;
    if (written.kind === 'json') {
      text = `${JSON.stringify(asObject(clusters, current), null, written.indent)}\n`;
    } else {
      const part = written.kind === 'block' ? block(clusters, written.style) : flow(clusters);
      // The clusters may be the last thing in the file, where line breaks matter most.
      const rest = [contexts(current), secretUser];
      text = (isFirst ? [head, part, ...rest] : [head, ...rest, part]).join('');
      if (hasSecond) text = `---\n${text}---\nclusters: []\n# the end\n`;
    }
    if (ending === 'none') text = text.replace(/\n$/, '');
    if (ending === 'crlf') text = text.replaceAll('\n', '\r\n');
    if (isMarked && written.kind !== 'json') text = `\uFEFF${text}`;
    return { text, clusters, current };
  });
