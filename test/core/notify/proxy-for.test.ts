import { describe, expect, it } from 'vitest';
import { proxyFor, proxyIn } from '../../../src/core/notify/proxy-for.ts';

const P = 'http://proxy:3128';
const through = (url: string, variables: Record<string, string>, ofNode?: string) =>
  proxyFor(new URL(url), variables, ofNode);

describe('the proxy of a request', () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ['https://a.org/x', { HTTPS_PROXY: P }, P],
    ['https://a.org/x', { https_proxy: P, HTTPS_PROXY: 'http://other' }, P],
    ['http://a.org/x', { HTTPS_PROXY: P }, undefined],
    ['http://a.org/x', { HTTP_PROXY: P }, P],
    ['http://a.org/x', { http_proxy: 'proxy:3128' }, P],
    ['https://a.org/x', { ALL_PROXY: P }, P],
    ['https://a.org/x', { ALL_PROXY: P, https_proxy: '' }, undefined],
    // Exceptions.
    ['https://a.org/x', { HTTPS_PROXY: P, NO_PROXY: '*' }, undefined],
    ['https://a.org/x', { HTTPS_PROXY: P, NO_PROXY: 'b.org, a.org' }, undefined],
    ['https://x.a.org/', { HTTPS_PROXY: P, no_proxy: 'a.org' }, undefined],
    ['https://x.a.org/', { HTTPS_PROXY: P, NO_PROXY: '.a.org' }, undefined],
    ['https://xa.org/', { HTTPS_PROXY: P, NO_PROXY: 'a.org' }, P],
    ['https://a.org/', { HTTPS_PROXY: P, NO_PROXY: 'A.ORG:443' }, undefined],
    ['https://a.org:8443/', { HTTPS_PROXY: P, NO_PROXY: 'a.org:443' }, P],
    ['https://10.1.2.3/', { HTTPS_PROXY: P, NO_PROXY: '10.0.0.0/8' }, undefined],
    ['https://11.1.2.3/', { HTTPS_PROXY: P, NO_PROXY: '10.0.0.0/8' }, P],
    ['https://[fd00::5]/', { HTTPS_PROXY: P, NO_PROXY: 'fd00::5' }, undefined],
    // Never to this host.
    ['http://localhost:80/', { HTTP_PROXY: P }, undefined],
    ['http://127.0.0.1:8080/', { HTTP_PROXY: P }, undefined],
    ['http://[::1]/', { HTTP_PROXY: P }, undefined],
  ])('%s with %j: %s', (url, variables, proxy) => {
    expect(through(url, variables)).toBe(proxy);
  });

  it("is the node's where no variable says otherwise", () => {
    expect(through('https://a.org/', {}, P)).toBe(P);
    expect(through('http://a.org/', {}, P)).toBe(P);
    expect(through('https://a.org/', { HTTPS_PROXY: 'http://own' }, P)).toBe('http://own');
    expect(through('https://a.org/', { HTTPS_PROXY: '' }, P)).toBe(undefined);
    expect(through('https://a.org/', { NO_PROXY: 'a.org' }, P)).toBe(undefined);
  });

  it('of the node is in its datacenter.cfg', () => {
    const text = 'console: html5\nhttp_proxy: http://u:p@proxy:3128\nkeyboard: de\n';
    expect(proxyIn(text)).toBe('http://u:p@proxy:3128');
    expect(proxyIn('keyboard: de\n#http_proxy: http://x\n')).toBe(undefined);
  });
});
