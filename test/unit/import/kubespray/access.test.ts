import { type AccessInput, accessOf, accessRoles } from '../../../../src/import/kubespray/access.ts';
import { readVars } from '../../../../src/import/kubespray/vars.ts';

function varsOf(text: string) {
  const result = readVars([{ name: 'all.yml', text }]);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const m0 = '10.0.0.1';

function access(text: string, role: AccessInput['role'], more: Partial<AccessInput> = {}) {
  return accessOf({ vars: varsOf(text), role, firstControlPlane: m0, ...more });
}

const lb = 'loadbalancer_apiserver: {address: 192.0.2.9, port: 8383}\n';
const named = `${lb}apiserver_loadbalancer_domain_name: lb.example.com\n`;
const ports = 'kube_apiserver_port: 7443\nloadbalancer_apiserver_port: 8443\n';

describe("the HA document's table", () => {
  const ext = { unmanagedLb: { host: 'ext.example', port: 443 } };
  const sans = 'supplementary_addresses_in_ssl_keys: [ext.example]\n';
  test.each<[string, string, Partial<AccessInput>, readonly string[][]]>([
    [
      'local LB (default)',
      '{}',
      {},
      [['https://127.0.0.1:6443'], ['https://localhost:6443'], ['https://10.0.0.1:6443']],
    ],
    [
      'local LB, other ports',
      ports,
      {},
      [['https://127.0.0.1:7443'], ['https://localhost:8443'], ['https://10.0.0.1:7443']],
    ],
    [
      'local LB + custom bind address',
      'kube_apiserver_bind_address: 10.0.0.5',
      {},
      [
        ['https://10.0.0.5:6443', 'https://localhost:6443'],
        ['https://localhost:6443'],
        ['https://10.0.0.1:6443'],
      ],
    ],
    [
      'local LB + unmanaged LB',
      sans,
      ext,
      [['https://127.0.0.1:6443'], ['https://localhost:6443'], ['https://ext.example:443']],
    ],
    [
      'external LB, no internal, by name',
      named,
      {},
      [['https://lb.example.com:8383'], ['https://lb.example.com:8383'], ['https://lb.example.com:8383']],
    ],
    [
      'external LB, no internal, by address, port left out',
      'loadbalancer_apiserver: {address: 192.0.2.9}\nloadbalancer_apiserver_localhost: false',
      {},
      [['https://192.0.2.9:6443'], ['https://192.0.2.9:6443'], ['https://192.0.2.9:6443']],
    ],
    [
      'neither',
      'loadbalancer_apiserver_localhost: no',
      {},
      [['https://127.0.0.1:6443'], ['https://10.0.0.1:6443'], ['https://10.0.0.1:6443']],
    ],
  ])('%s', (_, text, more, expected) => {
    expect(accessRoles.map((role) => access(text, role, more))).toEqual(
      expected.map((endpoints) => expect.objectContaining({ ok: true, endpoints })),
    );
  });

  test('the rows without a trap are without a warning', () => {
    const rows = ['{}', 'kube_apiserver_bind_address: 10.0.0.5', 'loadbalancer_apiserver_localhost: false'];
    for (const row of rows) {
      for (const role of accessRoles) expect(access(row, role)).toMatchObject({ warnings: [] });
    }
    expect(access(sans, 'external', ext)).toMatchObject({ warnings: [] });
  });

  test('the document and the code differ on control-plane nodes with an external LB: the code counts', () => {
    expect(access(named, 'control-plane')).toMatchObject({
      endpoints: ['https://lb.example.com:8383'],
      warnings: [{ trap: 'document-differs', text: expect.stringContaining('https://127.0.0.1:6443') }],
    });
    expect(access(named, 'worker')).toMatchObject({ warnings: [] });
  });
});

/** The traps that were met, without their words. */
function traps(text: string, role: AccessInput['role'], more: Partial<AccessInput> = {}) {
  const result = access(text, role, more);
  if (!result.ok) throw new Error(result.problem);
  return result.warnings.map(({ trap }) => trap);
}

describe('traps', () => {
  test('an external and a local LB together: Kubespray joins the name of one and the port of the other', () => {
    const both = `${lb}loadbalancer_apiserver_localhost: true`;
    const worker = access(both, 'worker');
    expect(worker).toMatchObject({
      endpoints: ['https://localhost:6443'],
      kubespray: 'https://localhost:8383',
      warnings: [{ trap: 'lb-and-localhost' }],
    });
    expect(access(both, 'control-plane')).toMatchObject({
      endpoints: ['https://127.0.0.1:6443'],
      kubespray: 'https://localhost:8383',
    });
    expect(access(both, 'external')).toMatchObject({ endpoints: ['https://192.0.2.9:8383'] });
    expect(access(`${both}\napiserver_loadbalancer_domain_name: localhost`, 'worker')).toEqual(worker);
  });

  test('with a name of its own the external LB wins and the local one idles', () => {
    const both = `${named}loadbalancer_apiserver_localhost: true`;
    expect(access(both, 'worker')).toMatchObject({
      endpoints: ['https://lb.example.com:8383'],
      warnings: [{ trap: 'lb-unused-localhost' }],
    });
    expect(access(both, 'worker')).not.toHaveProperty('kubespray');
  });

  test('bind 0.0.0.0: an address nobody can connect to, and a proxy that collides with the API server', () => {
    const text = 'kube_apiserver_bind_address: 0.0.0.0';
    expect(access(text, 'control-plane')).toMatchObject({
      endpoints: ['https://127.0.0.1:6443'],
      kubespray: 'https://0.0.0.0:6443',
    });
    expect(traps(text, 'control-plane')).toEqual(['bind-all-ipv4', 'lb-collides-with-api-server']);
    // On another port there is no collision, and the control plane has the local LB too.
    const apart = `${text}\nloadbalancer_apiserver_port: 8443`;
    expect(access(apart, 'control-plane')).toMatchObject({
      endpoints: ['https://127.0.0.1:6443', 'https://localhost:8443'],
    });
    expect(traps(apart, 'control-plane')).toEqual(['bind-all-ipv4', 'kube-proxy-dead-port']);
    expect(traps(`${text}\nloadbalancer_apiserver_localhost: false`, 'worker')).toEqual(['bind-all-ipv4']);
  });

  test.each([
    ['fd00::5', 'https://[fd00::5]:6443', 'https://fd00127.0.0.15:6443'],
    ['::1', 'https://[::1]:6443', 'https://127.0.0.11:6443'],
  ])('bind %s: Kubespray replaces the "::" in it', (bind, right, mangled) => {
    const text = `kube_apiserver_bind_address: "${bind}"\nloadbalancer_apiserver_port: 8443`;
    const result = access(text, 'control-plane');
    expect(result).toMatchObject({ kubespray: mangled });
    expect(result).toHaveProperty('endpoints.0', right);
    expect(traps(text, 'control-plane')).toContain('bind-ipv6-mangled');
    expect(traps(text, 'control-plane')).toContain('ipv6-brackets');
  });

  test('an IPv6 bind address in full is not mangled', () => {
    const text = 'kube_apiserver_bind_address: "fd00:0:0:0:0:0:0:5"';
    expect(traps(text, 'control-plane')).toEqual(['ipv6-brackets']);
    expect(access(text, 'control-plane')).not.toHaveProperty('kubespray', expect.stringContaining('127'));
  });

  test('a loopback bind address cuts the API servers off from other nodes', () => {
    expect(traps('kube_apiserver_bind_address: 127.0.0.1', 'worker')).toEqual([
      'bind-loopback',
      'lb-collides-with-api-server',
    ]);
  });

  test('another local port: kube-proxy is pointed at the API server port all the same', () => {
    expect(traps(ports, 'worker')).toEqual(['kube-proxy-dead-port']);
    expect(traps(`${ports}${named}`, 'worker')).toEqual([]);
  });

  test("anonymous auth off: HAProxy's check is answered 401", () => {
    const off = 'kube_api_anonymous_auth: false\n';
    expect(traps(`${off}loadbalancer_apiserver_type: haproxy`, 'worker')).toEqual([
      'haproxy-check-unauthorized',
    ]);
    expect(traps(off, 'worker')).toEqual([]);
  });

  test.each([
    ['first control-plane node', 'loadbalancer_apiserver_localhost: false', 'https://[fd00::1]:6443'],
    ['external LB', 'loadbalancer_apiserver: {address: "fd00::9", port: 8383}', 'https://[fd00::9]:8383'],
    ['external LB in brackets', 'loadbalancer_apiserver: {address: "[fd00::9]"}', 'https://[fd00::9]:6443'],
  ])('IPv6 (%s) gets brackets', (_, text, expected) => {
    expect(access(text, 'worker', { firstControlPlane: 'fd00::1' })).toMatchObject({
      endpoints: [expected],
      warnings: [{ trap: 'ipv6-brackets' }],
    });
  });

  test('a domain name without an external LB goes unused', () => {
    expect(traps('apiserver_loadbalancer_domain_name: lb.example.com', 'worker')).toEqual([
      'domain-name-unused',
    ]);
  });

  test('an unmanaged LB that is not in the certificates cannot be verified', () => {
    expect(traps('{}', 'external', { unmanagedLb: { host: 'ext.example' } })).toEqual(['san-missing']);
  });

  test('without the address of the first control-plane node the cases that need it are an error', () => {
    const vars = varsOf('loadbalancer_apiserver_localhost: false');
    expect(accessOf({ vars, role: 'worker' })).toMatchObject({ ok: false });
    expect(accessOf({ vars, role: 'control-plane' })).toMatchObject({ ok: true });
    const known = varsOf(
      'loadbalancer_apiserver_localhost: false\nfirst_kube_control_plane_address: 10.0.0.7',
    );
    expect(accessOf({ vars: known, role: 'worker' })).toMatchObject({ endpoints: ['https://10.0.0.7:6443'] });
  });

  test('an external LB without an address or a name is an error', () => {
    expect(access('loadbalancer_apiserver: {port: 8383}', 'worker')).toMatchObject({
      ok: false,
      problem: expect.stringContaining('set the address'),
    });
  });
});
