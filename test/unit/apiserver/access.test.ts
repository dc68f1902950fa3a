import {
  type AnonymousMode,
  authenticate,
  bearerToken,
  defaultGrants,
  forbidden,
  isAllowed,
  type User,
} from '../../support/apiserver/access.ts';
import { requestInfo } from '../../support/apiserver/request-info.ts';

const alice: User = { name: 'alice', groups: ['devs'] };
const tokens = new Map([['good', alice]]);

describe('authentication', () => {
  const nameFor = (
    credentials: Parameters<typeof authenticate>[0],
    mode: AnonymousMode = 'on',
    path = '/readyz',
  ) => authenticate(credentials, tokens, mode, path)?.name;

  test('a certificate of the CA and a known token are users', () => {
    expect(nameFor({ certificate: alice }, 'off')).toBe('alice');
    expect(nameFor({ token: 'good' }, 'off')).toBe('alice');
    expect(authenticate({ token: 'good' }, tokens, 'off', '/')?.groups).toContain('system:authenticated');
  });

  test('wrong credentials are never taken for none', () => {
    expect(nameFor({ token: 'bad' })).toBeUndefined();
    expect(nameFor({ token: '' })).toBeUndefined();
    expect(nameFor({ certificate: 'invalid' })).toBeUndefined();
    // A good token beside a bad certificate is enough.
    expect(nameFor({ certificate: 'invalid', token: 'good' })).toBe('alice');
  });

  test('without credentials it depends on the mode', () => {
    expect(nameFor({}, 'on')).toBe('system:anonymous');
    expect(nameFor({}, 'off')).toBeUndefined();
    expect(nameFor({}, 'health-only')).toBe('system:anonymous');
    expect(nameFor({}, 'health-only', '/version')).toBeUndefined();
    expect(nameFor({}, 'health-only', '/readyz/etcd')).toBeUndefined();
  });

  test('the bearer token is read whatever the case of the scheme', () => {
    expect(bearerToken({ authorization: 'Bearer abc' })).toBe('abc');
    expect(bearerToken({ authorization: 'bearer abc ' })).toBe('abc');
    expect(bearerToken({ authorization: 'Basic abc' })).toBeUndefined();
    expect(bearerToken({})).toBeUndefined();
  });
});

describe('authorization', () => {
  const may = (user: User, method: string, path: string, options = {}) =>
    isAllowed(user, requestInfo(method, path, path.includes('watch')), defaultGrants, options);
  const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  const node: User = { name: 'system:node:n', groups: ['system:nodes', 'system:authenticated'] };
  const admin: User = { name: 'root', groups: ['system:masters'] };
  const fairlead: User = { name: 'system:serviceaccount:kube-system:fairlead', groups: [] };
  const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

  test('anonymous: GET of the health paths and /version, exactly', () => {
    for (const path of ['/readyz', '/livez', '/healthz', '/version'])
      expect(may(anonymous, 'GET', path)).toBe(true);
    for (const path of ['/readyz/etcd', '/livez/ping', '/api', slices]) {
      expect(may(anonymous, 'GET', path)).toBe(false);
    }
    for (const method of ['HEAD', 'POST', 'OPTIONS']) expect(may(anonymous, method, '/readyz')).toBe(false);
    expect(may(anonymous, 'GET', '/readyz', { mode: 'forbidden' })).toBe(false);
  });

  test('a kubelet may not read EndpointSlices, the service account of Fairlead may, in its namespace', () => {
    expect(may(node, 'GET', slices)).toBe(false);
    expect(may(node, 'GET', '/api/v1/nodes/n')).toBe(true);
    expect(may(fairlead, 'GET', slices)).toBe(true);
    expect(may(fairlead, 'GET', slices.replace('default', 'kube-system'))).toBe(false);
    expect(may(fairlead, 'DELETE', `${slices}/kubernetes`)).toBe(false);
  });

  test('before the RBAC rules are loaded only system:masters may do anything', () => {
    expect(may(admin, 'DELETE', slices, { isRbacLoaded: false })).toBe(true);
    expect(may(anonymous, 'GET', '/readyz', { isRbacLoaded: false })).toBe(false);
  });

  test('a refusal says what a real one says', () => {
    const message = (method: string, path: string, isWatch = false) =>
      forbidden(anonymous, requestInfo(method, path, isWatch)).message;
    expect(message('HEAD', '/readyz')).toBe('forbidden: User "system:anonymous" cannot head path "/readyz"');
    expect(message('GET', `${slices}/kubernetes`)).toBe(
      'endpointslices.discovery.k8s.io "kubernetes" is forbidden: User "system:anonymous" cannot get resource "endpointslices" in API group "discovery.k8s.io" in the namespace "default"',
    );
    expect(message('GET', '/api/v1/nodes', true)).toBe(
      'nodes is forbidden: User "system:anonymous" cannot watch resource "nodes" in API group "" at the cluster scope',
    );
  });
});

describe('what a request is about', () => {
  test.each([
    ['GET', '/api/v1/namespaces', { verb: 'list', resource: { group: '', resource: 'namespaces' } }],
    [
      'GET',
      '/api/v1/namespaces/x',
      { verb: 'get', resource: { group: '', resource: 'namespaces', namespace: 'x', name: 'x' } },
    ],
    [
      'DELETE',
      '/api/v1/namespaces/x/configmaps',
      { verb: 'deletecollection', resource: { group: '', resource: 'configmaps', namespace: 'x' } },
    ],
    [
      'PATCH',
      '/api/v1/nodes/n/status',
      { verb: 'patch', resource: { group: '', resource: 'nodes', name: 'n', subresource: 'status' } },
    ],
    ['GET', '/apis/discovery.k8s.io/v1', { verb: 'get' }],
    ['OPTIONS', '/readyz', { verb: 'options' }],
  ])('%s %s', (method, path, expected) => {
    expect(requestInfo(method, path, false)).toMatchObject(expected);
  });
});
