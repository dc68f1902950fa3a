import { etcdAccess } from '../../../../src/import/kubespray/etcd.ts';

const url = 'https://etcd.example.com:2379';
const defaults = ['etcd.kube-system.svc.cluster.local', 'etcd.kube-system.svc', 'etcd.kube-system', 'etcd'];

test('without any of the variables there is nothing to say', () => {
  expect(etcdAccess({})).toBeUndefined();
});

test("the HA document's examples, by name and by address, are without a warning", () => {
  const both = (address: string) => ({ accessAddresses: address, clientUrl: address });
  expect(etcdAccess({ ...both(url), certAltNames: [...defaults, 'etcd.example.com'] })).toEqual({
    ok: true,
    accessAddresses: [url],
    clientUrl: url,
    certAltNames: [...defaults, 'etcd.example.com'],
    certAltIps: [],
    warnings: [],
  });
  expect(etcdAccess({ ...both('https://2.3.7.9:2379'), certAltIps: ['2.3.7.9'] })).toMatchObject({
    warnings: [],
  });
  expect(etcdAccess({ ...both('https://[fd00:0::9]:2379'), certAltIps: ['fd00::9'] })).toMatchObject({
    warnings: [],
  });
});

test('several addresses are told apart', () => {
  const accessAddresses = 'https://10.0.0.1:2379,https://10.0.0.2:2379';
  expect(etcdAccess({ accessAddresses, clientUrl: url })).toMatchObject({
    accessAddresses: ['https://10.0.0.1:2379', 'https://10.0.0.2:2379'],
  });
});

test.each([
  [{ accessAddresses: url, certAltNames: [...defaults, 'etcd.example.com'] }, 'etcd_client_url is not'],
  [{ clientUrl: url, certAltNames: [...defaults, 'etcd.example.com'] }, 'etcd_access_addresses is not'],
  [{ accessAddresses: url, clientUrl: url }, 'etcd_cert_alt_names lacks etcd.example.com'],
  [
    { accessAddresses: 'https://2.3.7.9:2379', clientUrl: 'https://2.3.7.9:2379' },
    'etcd_cert_alt_ips lacks 2.3.7.9',
  ],
  [
    { accessAddresses: url, clientUrl: url, certAltNames: ['etcd.example.com'] },
    'lacks etcd.kube-system.svc,',
  ],
])('%j: %s', (vars, warning) => {
  expect(etcdAccess(vars)).toMatchObject({ ok: true, warnings: [expect.stringContaining(warning)] });
});

test.each(['http://10.0.0.1:2379', '10.0.0.1:2379', 'https://10.0.0.1:2379/v3'])(
  '%s is no address of etcd',
  (accessAddresses) => {
    expect(etcdAccess({ accessAddresses })).toMatchObject({ ok: false });
  },
);
