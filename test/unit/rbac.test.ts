// docs/rbac.md says of every rule in the manifests who has it, why, and what a thief of the token can do. This compares its table
// with the manifests, and keeps the rules to what has been looked at.
import { globSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

interface Binding {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
  readonly rules?: readonly Rule[];
}

const objects = globSync('manifests/**/*.yaml').flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Binding | null),
);
const ofKind = (...kinds: string[]) =>
  objects.filter((object) => object !== null && kinds.includes(object.kind)) as Binding[];

/** As a row of the table begins: who, where, what. */
function granted(): string[] {
  return ofKind('RoleBinding', 'ClusterRoleBinding').flatMap(({ metadata, roleRef, subjects }) => {
    const role = ofKind(roleRef.kind).find(
      (one) =>
        one.metadata.name === roleRef.name &&
        (roleRef.kind === 'ClusterRole' || one.metadata.namespace === metadata.namespace),
    );
    if (!role) throw new Error(`no ${roleRef.kind} ${roleRef.name} in ${metadata.namespace}`);
    return subjects.flatMap(({ kind, name }) =>
      (role.rules ?? []).map((rule) => {
        const names = rule.resourceNames ? ` \`${rule.resourceNames.join('`, `')}\`` : '';
        const what = `${rule.verbs.join(', ')}: ${(rule.resources ?? rule.nonResourceURLs ?? []).join(', ')}${names}`;
        return `${kind === 'Group' ? 'group ' : ''}\`${name}\` | ${metadata.namespace ? `\`${metadata.namespace}\`` : 'all'} | ${what}`;
      }),
    );
  });
}

const rows = readFileSync('docs/rbac.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && line.includes('`'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test('the table has every rule of the manifests, and no other', () => {
  expect(rows.map((cells) => cells.slice(0, 3).join(' | ')).sort()).toEqual([...new Set(granted())].sort());
});

test('it says of each why it is needed and what a thief gains', () => {
  for (const cells of rows) {
    expect(cells).toHaveLength(5);
    for (const cell of cells.slice(3))
      expect([cells.slice(0, 3), cell.length > 10]).toEqual([cells.slice(0, 3), true]);
  }
});

test('every rule names what it is for: no wildcard, no Secret, no way to more rights', () => {
  for (const { rules = [] } of ofKind('Role', 'ClusterRole')) {
    for (const { apiGroups = [], resources = [], verbs } of rules) {
      const all = [...apiGroups, ...resources, ...verbs];
      expect(all).not.toContain('*');
      for (const word of ['secrets', 'serviceaccounts/token', 'bind', 'escalate', 'impersonate', 'pods/exec'])
        expect(all).not.toContain(word);
    }
  }
});

test('who may change a workload has that right in a folder that is deleted with its Job', () => {
  const changes = ['create', 'update', 'patch', 'delete'];
  const folders = globSync('manifests/**/*.yaml').filter((file) =>
    parseAllDocuments(readFileSync(file, 'utf8')).some((document) => {
      const { rules = [] } = (document.toJS() ?? {}) as Partial<Binding>;
      return rules.some(
        ({ apiGroups, verbs }) => apiGroups?.includes('apps') && verbs.some((verb) => changes.includes(verb)),
      );
    }),
  );
  expect(folders).toEqual(['manifests/cluster-point-kube-proxy-rights/rbac.yaml']);
});
