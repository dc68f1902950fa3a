// The files that a project has for its contributors agree with the code and with each other.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { parse } from 'yaml';
import { nodeProblem } from '../../src/cli/node-version.ts';

const packageFile = JSON.parse(readFileSync('package.json', 'utf8'));
const tracked = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .stdout.split('\n')
  .filter((file) => file !== '' && existsSync(file));
const pages = tracked.filter((file) => file.endsWith('.md') && !file.startsWith('bench/results/'));

describe('Node', () => {
  const wanted = readFileSync('.nvmrc', 'utf8').trim();

  test('.nvmrc is the release that npm ci installs', () => {
    expect(wanted).toBe(packageFile.devDependencies.node);
  });

  test('.nvmrc is a release that package.json and the program accept', () => {
    const least = /^>=(\d+)\.(\d+)\.\d+$/.exec(packageFile.engines.node);
    expect(least).not.toBeNull();
    const [major = 0, minor = 0] = wanted.split('.').map(Number);
    const [, leastMajor = 0, leastMinor = 0] = (least ?? []).map(Number);
    expect(major > leastMajor || (major === leastMajor && minor >= leastMinor)).toBe(true);
    expect(nodeProblem(wanted)).toBeUndefined();
  });

  test('the program refuses a release that is older than package.json says', () => {
    const [, major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(packageFile.engines.node) ?? []).map(Number);
    expect(nodeProblem(`${major}.${minor - 1}.0`)).toEqual(expect.any(String));
    expect(nodeProblem(`${major}.${minor}.0`)).toBeUndefined();
  });
});

/** Editors read .editorconfig, biome reads its own file. */
test('.editorconfig says of indents and line length what biome.json says', () => {
  const settings = new Map(
    (readFileSync('.editorconfig', 'utf8').split(/^\[\*\]$/m)[1] ?? '')
      .split(/^\[/m)[0]
      ?.split('\n')
      .map((line) => line.split(' = '))
      .map(([key = '', value = '']) => [key, value]),
  );
  const { formatter } = JSON.parse(readFileSync('biome.json', 'utf8'));
  expect({
    indentStyle: settings.get('indent_style'),
    indentWidth: Number(settings.get('indent_size')),
    lineWidth: Number(settings.get('max_line_length')),
  }).toEqual(formatter);
});

test('every script of package.json that is there for people is in CONTRIBUTING.md or docs/testing.md', () => {
  const text = ['CONTRIBUTING.md', 'docs/testing.md', 'README.md', 'bench/README.md', 'docs/performance.md']
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const parts = new Set(['check:format', 'check:lint', 'check:types', 'demo', 'build', 'test']);
  const missing = Object.keys(packageFile.scripts).filter(
    (name) => !parts.has(name) && !text.includes(`npm run ${name}`),
  );
  expect(missing).toEqual([]);
});

test('every `npm run` of the pages is a script of package.json', () => {
  const named = pages.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/npm run (?:--?[\w-]+ )*([a-z][\w:-]*)/g)].map(
      ([, name = '']) => ({
        file,
        name,
      }),
    ),
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ name }) => !(name in packageFile.scripts))).toEqual([]);
});

describe('links', () => {
  /** Headings as GitHub names them in links. */
  function anchors(text: string): Set<string> {
    const seen = new Map<string, number>();
    const headings = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} +(.*)$/gm);
    return new Set(
      [...headings].map(([, heading = '']) => {
        const name = heading
          .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
          .trim()
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\s_-]/gu, '')
          .replace(/ /g, '-');
        const before = seen.get(name) ?? 0;
        seen.set(name, before + 1);
        return before === 0 ? name : `${name}-${before}`;
      }),
    );
  }

  /** Targets of links, without those in code. */
  function targets(text: string): string[] {
    const prose = text.replace(/^ *```[\s\S]*?^ *```/gm, '').replace(/`[^`\n]*`/g, '');
    return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)].map(([, target = '']) => target);
  }

  /** The links of `file` that lead nowhere. */
  function broken(file: string, text = readFileSync(file, 'utf8')): string[] {
    return targets(text).filter((target) => {
      // Outside of this repository, where a test must not look.
      if (/^(?:https?|mailto):/.test(target)) return false;
      const [path = '', anchor] = target.split('#');
      const page = path === '' ? file : join(dirname(file), path);
      if (!existsSync(page)) return true;
      return anchor !== undefined && !anchors(path === '' ? text : readFileSync(page, 'utf8')).has(anchor);
    });
  }

  test('a missing file and a missing heading are found, code and other hosts are left alone', () => {
    const text = '# A `b` c\n[x](#a-b-c) [y](#nothing) [z](no.md) `[q](no.md)` [w](https://example.com/no)\n';
    expect(broken('README.md', text)).toEqual(['#nothing', 'no.md']);
  });

  test.each(pages)('the links of %s lead to files and headings that exist', (file) => {
    expect(broken(file)).toEqual([]);
  });

  test('every page of docs/ is linked from another page', () => {
    const linked = new Set(
      pages.flatMap((file) =>
        targets(readFileSync(file, 'utf8'))
          .map((target) => join(dirname(file), target.split('#')[0] ?? ''))
          .filter((page) => page !== file),
      ),
    );
    expect(pages.filter((file) => file.startsWith('docs/') && !linked.has(file))).toEqual([]);
  });
});

describe('decisions', () => {
  const records = readdirSync('docs/adr').filter((file) => /^\d{4}-[a-z0-9-]+\.md$/.test(file));

  test('are numbered without a gap, and each has its number, a status and a decision', () => {
    expect(records.map((file) => Number(file.slice(0, 4)))).toEqual(records.map((_, index) => index + 1));
    for (const [index, file] of records.entries()) {
      const text = readFileSync(join('docs/adr', file), 'utf8');
      expect({ file, title: text.split('\n')[0] }).toEqual({
        file,
        title: expect.stringMatching(new RegExp(`^# ${index + 1}\\. \\S`)),
      });
      for (const part of [/^Status: /m, /(?:^## |\*\*)Decision/m, /(?:^## |\*\*)Consequences?/m])
        expect({ file, text }).toEqual({ file, text: expect.stringMatching(part) });
    }
  });

  test('are all in the index, with their titles', () => {
    const index = readFileSync('docs/adr/README.md', 'utf8');
    const rows = [...index.matchAll(/^\| \[(\d+)\]\(([\w-]+\.md)\) +\| (.*?) +\|$/gm)];
    expect(rows.map(([, number, file, title]) => ({ file, title: `# ${number}. ${title}` }))).toEqual(
      records.map((file) => ({ file, title: readFileSync(join('docs/adr', file), 'utf8').split('\n')[0] })),
    );
  });
});

describe('templates for issues', () => {
  const directory = '.github/ISSUE_TEMPLATE';
  const forms = readdirSync(directory).filter((file) => file !== 'config.yml');
  const types = ['markdown', 'textarea', 'input', 'dropdown', 'checkboxes'];

  test('are for a bug, a feature and a question', () => {
    expect(forms).toEqual(['bug.yml', 'feature.yml', 'question.yml']);
  });

  test.each(forms)('%s is a form that GitHub accepts', (file) => {
    const form = parse(readFileSync(join(directory, file), 'utf8'));
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String) });
    expect(
      Object.keys(form).filter((key) => !['name', 'description', 'labels', 'title', 'body'].includes(key)),
    ).toEqual([]);
    const fields = form.body.filter(({ type }: { type: string }) => type !== 'markdown');
    expect(fields.length).toBeGreaterThan(0);
    for (const { type, id, attributes, validations = {} } of form.body) {
      expect(types).toContain(type);
      if (type === 'markdown') {
        expect(attributes).toEqual({ value: expect.any(String) });
      } else {
        expect(id).toMatch(/^[a-z][\w-]*$/);
        expect(attributes.label).toEqual(expect.any(String));
        if (type === 'dropdown' || type === 'checkboxes')
          expect(attributes.options.length).toBeGreaterThan(0);
        expect(Object.keys(validations).filter((key) => key !== 'required')).toEqual([]);
      }
    }
    const ids = fields.map(({ id }: { id: string }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const labels = fields.map(({ attributes }: { attributes: { label: string } }) => attributes.label);
    expect(new Set(labels).size).toBe(labels.length);
    expect(
      fields.some(({ validations }: { validations?: { required?: boolean } }) => validations?.required),
    ).toBe(true);
  });

  test('send vulnerabilities elsewhere than to a public issue', () => {
    const config = parse(readFileSync(join(directory, 'config.yml'), 'utf8'));
    expect(config.blank_issues_enabled).toBe(false);
    expect(readFileSync(join(directory, 'bug.yml'), 'utf8')).toContain('SECURITY.md');
  });

  test('ask for output of commands that exist', () => {
    const commands = forms.flatMap((file) =>
      [...readFileSync(join(directory, file), 'utf8').matchAll(/`fairlead ([a-z]+)/g)].map(
        ([, name]) => name,
      ),
    );
    expect(commands.length).toBeGreaterThan(0);
    const reference = readFileSync('docs/cli.md', 'utf8');
    expect(commands.filter((name) => !reference.includes(`fairlead ${name}`))).toEqual([]);
  });
});

test('SECURITY.md and CODE_OF_CONDUCT.md name one way to report, and no address that we do not own', () => {
  for (const file of ['SECURITY.md', 'CODE_OF_CONDUCT.md']) {
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('private vulnerability reporting');
    expect(text).not.toMatch(/[\w.+-]+@[\w-]+\.\w+/);
  }
});

test('SECURITY.md has the release of package.json among the supported ones', () => {
  const [major, minor] = packageFile.version.split('.');
  expect(readFileSync('SECURITY.md', 'utf8')).toMatch(
    new RegExp(`^\\| ${major}\\.${minor}\\.x +\\| yes`, 'm'),
  );
});
