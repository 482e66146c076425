import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import dns from 'node:dns';
import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { checkOutboundUrl, dial, outboundRules } from '#services/outboundUrl.js';
import { readAtMost } from '#services/readAtMost.js';

const within = (): AbortSignal => AbortSignal.timeout(10_000);
const cloud = outboundRules(['https://api.example.org']);
const laptop = outboundRules(['http://127.0.0.1:8080', 'http://localhost:9000']);

describe('a URL that somebody else gives', () => {
  test.each([
    ['the metadata service of a cloud', 'http://169.254.169.254/latest/meta-data/'],
    ['the metadata service over HTTPS', 'https://169.254.169.254/latest/meta-data/'],
    ['the metadata service of ECS', 'https://169.254.170.2/v2/credentials'],
    ['the metadata service over IPv6', 'https://[fd00:ec2::254]/latest/'],
    ['a private network (10/8)', 'https://10.0.0.5/'],
    ['a private network (172.16/12)', 'https://172.31.255.255/'],
    ['a private network (192.168/16)', 'https://192.168.1.1/'],
    ['a carrier network', 'https://100.64.0.1/'],
    ['this machine', 'https://127.0.0.1:5432/'],
    ['this machine by name', 'https://localhost/'],
    ['this machine by a name with a full stop', 'https://LOCALHOST./'],
    ['this machine by a name below localhost', 'https://db.localhost/'],
    ['this machine in hexadecimal', 'https://0x7f000001/'],
    ['this machine as one number', 'https://2130706433/'],
    ['this machine in octal', 'https://0177.0.0.1/'],
    ['this machine in short', 'https://127.1/'],
    ['this machine over IPv6', 'https://[::1]/'],
    ['this machine as IPv4 in IPv6', 'https://[::ffff:127.0.0.1]/'],
    ['a private address as IPv4 in IPv6', 'https://[::ffff:10.0.0.1]/'],
    ['a private address behind NAT64', 'https://[64:ff9b::10.0.0.1]/'],
    ['a private address behind 6to4', 'https://[2002:0a00:0001::]/'],
    ['any address', 'https://0.0.0.0/'],
    ['any address over IPv6', 'https://[::]/'],
    ['a link-local address', 'https://[fe80::1]/'],
    ['a multicast address', 'https://224.0.0.1/'],
    ['the broadcast address', 'https://255.255.255.255/'],
    ['plain HTTP', 'http://example.org/'],
    ['a file', 'file:///etc/passwd'],
    ['a data URL', 'data:text/plain,x'],
    ['a gopher URL', 'gopher://example.org/'],
    ['a name and password', 'https://user:secret@example.org/'],
    ['nothing at all', ''],
    ['a path', '/v1/jobs'],
  ])('cannot point at %s', (_, url) => {
    expect(() => checkOutboundUrl(url, cloud)).toThrow(expect.objectContaining({ code: 'URL_REFUSED' }));
  });

  test('may point at public HTTPS', () => {
    for (const url of ['https://example.org/a?b', 'https://93.184.215.14/', 'https://[2606:4700::1111]/'])
      expect(checkOutboundUrl(url, cloud).href).toBe(new URL(url).href);
  });

  test('may point at loopback only where the whole configuration does', () => {
    expect(checkOutboundUrl('http://127.0.0.1:4566/bucket', laptop).port).toBe('4566');
    expect(() => checkOutboundUrl('https://10.0.0.1/', laptop)).toThrow('private network');
    expect(outboundRules(['http://127.0.0.1', 'https://example.org']).loopback).toBe(false);
    expect(outboundRules([]).loopback).toBe(false);
  });

  test('may point at a private host that the owner named, and at no other port of it when the port was named', () => {
    const rules = outboundRules(['https://api.example.org'], ['store.internal', '10.0.0.5:9000']);
    expect(checkOutboundUrl('http://store.internal/x', rules).host).toBe('store.internal');
    expect(checkOutboundUrl('http://10.0.0.5:9000/', rules).port).toBe('9000');
    expect(() => checkOutboundUrl('http://10.0.0.5:22/', rules)).toThrow('not HTTPS');
  });

  test('is shown without the query that makes it a secret', () => {
    expect(() => checkOutboundUrl('http://example.org/a?X-Amz-Signature=0123', cloud)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('0123') }),
    );
  });
});

describe('dialling', () => {
  let server: Server;
  let at: string;
  const hits: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      hits.push(request.url ?? '');
      if (request.url === '/metadata') response.writeHead(307, { location: 'http://169.254.169.254/' }).end();
      else if (request.url === '/around') response.writeHead(302, { location: '/around' }).end();
      else if (request.url === '/odd') response.writeHead(302, { location: 'http://[' }).end();
      else if (request.url === '/once') response.writeHead(302, { location: '/answer' }).end();
      else if (request.url === '/none') response.writeHead(204).end();
      else if (request.url === '/slow') response.write('x');
      else if (request.url === '/much') response.end(Buffer.alloc(5_000));
      else {
        response.setHeader('x-method', request.method ?? '');
        request.pipe(response);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test('sends a body and gives back what came', async () => {
    const response = await dial(`${at}/echo`, { method: 'PUT', body: 'hello', signal: within() }, laptop);
    expect([response.status, response.headers.get('x-method')]).toEqual([200, 'PUT']);
    expect((await readAtMost(response, 5, 'The server')).toString()).toBe('hello');
    expect((await dial(`${at}/none`, { signal: within() }, laptop)).status).toBe(204);
  });

  test('a redirect to the metadata service is not followed, and not shown as an answer of it', async () => {
    await expect(dial(`${at}/metadata`, { signal: within(), redirects: 3 }, laptop)).rejects.toMatchObject({
      code: 'URL_REFUSED',
    });
    await expect(dial(`${at}/odd`, { signal: within(), redirects: 3 }, laptop)).rejects.toMatchObject({
      code: 'URL_REFUSED',
    });
    expect((await dial(`${at}/metadata`, { signal: within() }, laptop)).status).toBe(307);
  });

  test('a redirect in a circle ends after as many as are allowed', async () => {
    hits.length = 0;
    expect((await dial(`${at}/around`, { signal: within(), redirects: 3 }, laptop)).status).toBe(302);
    expect(hits).toHaveLength(4);
    expect((await dial(`${at}/once`, { signal: within(), redirects: 3 }, laptop)).status).toBe(200);
  });

  test('a public name that resolves to this machine (DNS rebinding) is resolved once and not connected to', async () => {
    hits.length = 0;
    const port = new URL(at).port;
    const rules = { loopback: false, hosts: [] };
    for (const addresses of [
      ['127.0.0.1'],
      ['93.184.215.14', '127.0.0.1'],
      ['10.0.0.1'],
      ['::ffff:127.0.0.1'],
    ]) {
      const resolved = jest.spyOn(dns, 'lookup').mockImplementation(((
        _name: string,
        _options: dns.LookupOptions,
        done: (error: null, found: dns.LookupAddress[]) => void,
      ) =>
        done(
          null,
          addresses.map((address) => ({ address, family: isIP(address) })),
        )) as never);
      await expect(
        dial(`https://rebinding.example.org:${port}/`, { signal: within() }, rules),
      ).rejects.toMatchObject({ code: 'URL_REFUSED' });
      expect(resolved).toHaveBeenCalledTimes(1);
      resolved.mockRestore();
    }
    expect(hits).toEqual([]);
  });

  test('an answer is read up to its cap and no further', async () => {
    const response = await dial(`${at}/much`, { signal: within() }, laptop);
    await expect(readAtMost(response, 4_999, 'The server')).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
  });

  test('an answer that never ends is given up when the time is over', async () => {
    const response = await dial(`${at}/slow`, { signal: AbortSignal.timeout(200) }, laptop);
    await expect(readAtMost(response, 100, 'The server')).rejects.toThrow();
  });
});
