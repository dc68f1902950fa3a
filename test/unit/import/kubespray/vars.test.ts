import { formatProblem } from '../../../../src/config/problem.ts';
import { readVars } from '../../../../src/import/kubespray/vars.ts';

function read(...texts: readonly string[]) {
  return readVars(texts.map((text, index) => ({ name: `${index + 1}.yml`, text })));
}

function problems(...texts: readonly string[]): string[] {
  const result = read(...texts);
  return result.ok ? [] : result.problems.map(formatProblem);
}

test('later files win, variable by variable', () => {
  expect(
    read('kube_apiserver_port: 6443\nloadbalancer_apiserver_port: 8443', 'kube_apiserver_port: 7443'),
  ).toMatchObject({ ok: true, value: { securePort: 7443, localPort: 8443 } });
});

test('what the inventory does not say is absent, so that defaults are not mistaken for choices', () => {
  expect(read('# nothing\n', '{}')).toEqual({ ok: true, value: { etcd: {} } });
});

test.each([
  ['yes', true],
  ['no', false],
  ['"{{ other }}"', false],
])('loadbalancer_apiserver_localhost: %s is %s, as Ansible reads YAML 1.1', (text, expected) => {
  expect(read(`loadbalancer_apiserver_localhost: ${text}\nother: off`)).toMatchObject({
    value: { localhost: expected },
  });
});

test('plain references are followed, to defaults too', () => {
  const text = `
kube_apiserver_port: 7443
loadbalancer_apiserver_port: "{{ kube_apiserver_port }}"
loadbalancer_apiserver: {address: "{{ vip }}", port: "{{lb_port}}"}
vip: 192.0.2.9
lb_port: "8383"
etcd_cert_alt_names: ["etcd.kube-system.svc.{{ dns_domain }}", "etcd"]
`;
  expect(read(text)).toMatchObject({
    value: {
      localPort: 7443,
      lb: { address: '192.0.2.9', port: 8383 },
      etcd: { certAltNames: ['etcd.kube-system.svc.cluster.local', 'etcd'] },
    },
  });
});

test('an expression matters only where its variable does', () => {
  expect(read('node_name: "{{ inventory_hostname | upper }}"').ok).toBe(true);
  expect(problems('a: 1\nkube_apiserver_port: "{{ base_port + 1 }}"')).toEqual([
    '1.yml:2: kube_apiserver_port: must be a plain value: only Ansible can evaluate this expression; found "{{ base_port + 1 }}"',
  ]);
  expect(problems('kube_apiserver_port: "{{ kube_apiserver_port }}"')).toHaveLength(1);
  expect(problems('kube_apiserver_port: "{{ nowhere }}"')).toHaveLength(1);
});

test('every problem comes at once, with its line and what would be right', () => {
  const text = `kube_apiserver_port: 70000
kube_apiserver_bind_address: everywhere
loadbalancer_apiserver_localhost: "false"
loadbalancer_apiserver_type: envoy
loadbalancer_apiserver:
etcd_cert_alt_ips: 10.0.0.1
`;
  const found = problems(text);
  expect(found.map((problem) => problem.split(': ').slice(0, 2).join(' '))).toEqual([
    '1.yml:5 loadbalancer_apiserver',
    '1.yml:3 loadbalancer_apiserver_localhost',
    '1.yml:4 loadbalancer_apiserver_type',
    '1.yml:1 kube_apiserver_port',
    '1.yml:2 kube_apiserver_bind_address',
    '1.yml:6 etcd_cert_alt_ips',
  ]);
  expect(found[1]).toContain('Jinja treats any other text as true');
});

test.each([
  ['a: [', '1.yml:1: not valid YAML'],
  ['- a\n', '1.yml: must be a map of variables'],
])('%j is no file of variables', (text, problem) => {
  expect(problems(text)).toEqual([expect.stringContaining(problem)]);
});

test('a vault-encrypted value elsewhere does no harm', () => {
  expect(
    read('secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3161\nkube_apiserver_port: 6443'),
  ).toMatchObject({
    value: { securePort: 6443 },
  });
});
