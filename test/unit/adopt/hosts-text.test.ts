import fc from 'fast-check';
import { addressesOf, managedHosts, withManaged, withoutManaged } from '../../../src/adopt/hosts-text.ts';

const name = 'lb-apiserver.kubernetes.local';
const here = new Map([[name, ['127.0.0.1']]]);

const standard = `127.0.0.1 localhost
::1 localhost ip6-localhost
# nodes
10.0.0.1 cp1 cp1.example
10.0.0.9 ${name}
10.0.0.2\tcp2   ${name} lb # both
`;

test('the name means this node alone, and every other name what it meant', () => {
  const after = withManaged(standard, here);
  expect(addressesOf(after, name)).toEqual(['127.0.0.1']);
  for (const other of ['localhost', 'cp1', 'cp1.example', 'cp2', 'lb']) {
    expect(addressesOf(after, other)).toEqual(addressesOf(standard, other));
  }
  expect(after).toBe(`127.0.0.1 localhost
::1 localhost ip6-localhost
# nodes
10.0.0.1 cp1 cp1.example
# fairlead hosts, instead of [10.0.0.9 ${name}]
# fairlead hosts, instead of [10.0.0.2\tcp2   ${name} lb # both]
10.0.0.2 cp2 lb # fairlead hosts, [${name}] taken out
127.0.0.1 ${name} # fairlead hosts
`);
  expect(withoutManaged(after)).toBe(standard);
});

test('what others change in the file meanwhile stays', () => {
  const after = `${withManaged(standard, here).replace('cp1.example', 'cp1.new')}10.0.0.3 cp3\n`;
  expect(withoutManaged(after)).toBe(`${standard.replace('cp1.example', 'cp1.new')}10.0.0.3 cp3\n`);
});

test('a tool that looks for a line which ends with the name finds none of ours', () => {
  // Ansible's lineinfile with `.*NAME$` would write the old address over it.
  for (const line of withManaged(standard, here).split('\n')) expect(line.endsWith(name)).toBe(false);
});

test('a line that somebody adds for the name later is taken over too', () => {
  const after = withManaged(standard, here);
  const again = withManaged(`${after}10.0.0.9 ${name}\n`, here);
  expect(addressesOf(again, name)).toEqual(['127.0.0.1']);
  expect(withoutManaged(again)).toBe(`${standard}10.0.0.9 ${name}\n`);
});

test('names are the same whatever their case', () => {
  expect(addressesOf(withManaged(`10.0.0.9 ${name.toUpperCase()}\n`, here), name)).toEqual(['127.0.0.1']);
});

const names = ['a.example', 'b.example', name, 'localhost'];
const hostsLine = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('10.0.0.1', 'fd00::1', '127.0.0.1', 'not-an-address'),
      fc.constantFrom(' ', '\t', '   '),
      fc.subarray(names, { minLength: 1 }),
      fc.constantFrom('', ' # comment', '#x', ' '),
    )
    .map(([address, gap, chosen, comment]) => `${address}${gap}${chosen.join(gap)}${comment}`),
  fc.constantFrom('', '# only a comment', `# 10.0.0.9 ${name}`, '   ', '# fairlead hosts', 'caf\u00e9'),
);
const hostsText = fc
  .tuple(fc.array(fc.tuple(hostsLine, fc.constantFrom('\n', '\r\n')), { maxLength: 8 }), fc.boolean())
  .map(([lines, isEnded]) => {
    const text = lines.map(([line, ending]) => line + ending).join('');
    return isEnded ? text : text.replace(/\r?\n$/, '');
  });
const managed: fc.Arbitrary<[string, string[]][]> = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom('a.example', name),
    fc.subarray(['127.0.0.1', '::1', '127.0.0.2'], { minLength: 1 }),
  ),
  { selector: ([key]) => key, minLength: 1 },
);

test('taking back gives the same bytes, whatever the file; doing it again changes nothing', () => {
  fc.assert(
    fc.property(hostsText, managed, (text, entries) => {
      const hosts = new Map(entries);
      const after = withManaged(text, hosts);
      expect(withoutManaged(after)).toBe(text);
      expect(withManaged(after, hosts)).toBe(after);
      expect(managedHosts(after)).toEqual(hosts);
      for (const [key, addresses] of hosts) expect(addressesOf(after, key)).toEqual(addresses);
      for (const other of names.filter((candidate) => !hosts.has(candidate))) {
        expect(addressesOf(after, other)).toEqual(addressesOf(text, other));
      }
    }),
  );
});

test('one name can be given back while another one stays, in any order', () => {
  fc.assert(
    fc.property(hostsText, (text) => {
      const both = new Map([
        ['a.example', ['127.0.0.1']],
        [name, ['::1']],
      ]);
      const after = withManaged(text, both);
      for (const key of both.keys()) {
        const rest = new Map([...both].filter(([other]) => other !== key));
        expect(withManaged(after, rest)).toBe(withManaged(text, rest));
      }
    }),
  );
});
